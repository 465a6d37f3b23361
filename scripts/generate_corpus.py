#!/usr/bin/env python3
"""Writes the made-up part of the corpus: JSON, logs and base64, seeded, so that the same files come out every time.

The held-out files come from other generators than the training files: other fields, other formats, other words.
Usage: scripts/generate_corpus.py (from the root of the repository)
"""

import base64
import datetime
import json
import pathlib
import random
import uuid
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent / "corpus"
FIRST = "Amira Bruno Chiara Daniel Elif Farah Giorgos Hana Ivan Jorge Keiko Lena Mateo Nadia Oluwaseun Priya Quentin Rosa Sanjay Tomasz Ulla Viktor Wei Ximena Yusuf Zofia".split()
LAST = "Almeida Becker Chowdhury Diallo Eriksson Fernandez Greco Haddad Ito Jensen Kowalska Larsen Moreau Nakamura Okafor Petrov Rossi Schmidt Tanaka Vargas Williams Zhang".split()
CITY = "Lisbon Hamburg Osaka Nairobi Toronto Krakow Santiago Oslo Pune Athens Denver Lyon Cork Tampere Quito Bristol".split()
WORD = ("account alert archive balance batch billing branch bucket cache campaign catalog channel charge cluster comment context "
        "coupon customer dashboard delivery device discount document endpoint engine event export feature filter folder gateway "
        "group history image import index invoice item label layout ledger limit location market member message method metric "
        "model module network notice number object option order origin owner package parser partner payment period picture plan "
        "policy price product profile project provider quota record region release report request result review route sample "
        "schedule schema search section segment sensor server service session setting shipment signal source status storage "
        "stream summary supplier support system table target task tenant ticket token total trace transfer update user vendor "
        "version volume wallet warehouse window worker").split()
ADJ = ("active annual archived available blue broken cold compact daily default deleted early empty external final fresh global "
       "green hidden internal large late local manual missing new open optional partial pending primary private public random "
       "recent remote required secure shared slow small stale static temporary unknown urgent valid virtual weekly").split()
VERB = "accepted adds blocks builds changes checks closes copies creates drops fails finishes handles keeps loads merges moves needs opens reads receives rejects removes repeats returns saves sends shows skips starts stops stores takes updates uses waits writes".split()
GLUE = "the a this every one another its our".split()


class Maker:
    """Random parts of which texts are made."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.now = datetime.datetime(2026, 3, 1, 8, 0, 0) + datetime.timedelta(seconds=self.r.randrange(9_000_000))

    def pick(self, items):
        return self.r.choice(items)

    def chance(self, share):
        return self.r.random() < share

    def sentence(self):
        g, a, w, v = (lambda items: self.r.choice(items),) * 4
        parts = [g(GLUE), a(ADJ), w(WORD), v(VERB), g(GLUE), w(WORD)]
        if self.chance(0.5):
            parts += [g(["after", "before", "while", "because", "until", "and", "when"]), g(GLUE), w(WORD), v(VERB), g(GLUE), a(ADJ), w(WORD)]
        return " ".join(parts).capitalize() + "."

    def text(self, most=4):
        return " ".join(self.sentence() for _ in range(self.r.randint(1, most)))

    def name(self):
        return f"{self.pick(FIRST)} {self.pick(LAST)}"

    def mail(self):
        return f"{self.pick(FIRST)}.{self.pick(LAST)}@{self.pick(['example.com', 'example.org', 'mail.example.net'])}".lower()

    def uuid(self):
        return str(uuid.UUID(int=self.r.getrandbits(128), version=4))

    def hex(self, digits):
        return f"{self.r.getrandbits(4 * digits):0{digits}x}"

    def ident(self, size):
        return "".join(self.r.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") for _ in range(size))

    def ip(self):
        return ".".join(str(self.r.randint(1, 254)) for _ in range(4))

    def tick(self, most=40.0):
        self.now += datetime.timedelta(seconds=self.r.random() * most)
        return self.now

    def path(self):
        return "/" + "/".join(self.pick([self.pick(WORD), self.pick(WORD) + "s", str(self.r.randrange(10**self.r.randint(1, 7)))]) for _ in range(self.r.randint(1, 4)))

    def money(self):
        return round(self.r.random() * 10 ** self.r.randint(1, 4), 2)


def users(m):
    return [{"id": m.r.randrange(10**6), "firstName": m.name().split()[0], "email": m.mail(), "active": m.chance(0.7), "roles": m.r.sample(["admin", "editor", "viewer", "billing"], m.r.randint(1, 3)),
             "address": {"city": m.pick(CITY), "street": f"{m.r.randint(1, 300)} {m.pick(LAST)} Street", "postalCode": f"{m.r.randint(10000, 99999)}"}, "lastLogin": m.tick().isoformat() + "Z", "notes": m.text(2) if m.chance(0.4) else None} for _ in range(m.r.randint(3, 12))]


def chat(m):
    turns = [{"role": "system", "content": "You are a helpful assistant for " + m.pick(WORD) + " " + m.pick(WORD) + "s. " + m.text()}]
    for _ in range(m.r.randint(1, 5)):
        turns += [{"role": "user", "content": m.text(3)}, {"role": "assistant", "content": m.text(5)}]
    return {"model": m.pick(["gpt-4o", "gpt-4o-mini", "sonar-pro", "o3"]), "messages": turns, "temperature": round(m.r.random(), 1), "stream": m.chance(0.5), "max_tokens": m.pick([256, 512, 1024, 4096])}


def tool_schema(m):
    def field():
        kind = m.pick(["string", "integer", "number", "boolean", "array"])
        out = {"type": kind, "description": m.sentence()}
        if kind == "array":
            out["items"] = {"type": "string"}
        if kind == "string" and m.chance(0.3):
            out["enum"] = m.r.sample(ADJ, 3)
        return out
    names = [f"{m.pick(ADJ)}_{m.pick(WORD)}" if m.chance(0.5) else m.pick(WORD) for _ in range(m.r.randint(2, 6))]
    return [{"type": "function", "function": {"name": f"get_{m.pick(WORD)}_{m.pick(WORD)}", "description": m.text(2), "parameters": {"type": "object", "properties": {n: field() for n in names}, "required": names[:2], "additionalProperties": False}}} for _ in range(m.r.randint(1, 4))]


def issues(m):
    return [{"number": m.r.randrange(9999), "node_id": m.ident(20), "title": m.sentence(), "state": m.pick(["open", "closed"]), "user": {"login": m.pick(FIRST).lower() + str(m.r.randrange(99)), "id": m.r.randrange(10**8), "url": "https://api.example.com/users/" + m.pick(FIRST).lower()},
             "labels": [{"name": m.pick(WORD), "color": m.hex(6)} for _ in range(m.r.randint(0, 3))], "comments": m.r.randrange(30), "created_at": m.tick().strftime("%Y-%m-%dT%H:%M:%SZ"), "body": m.text(6)} for _ in range(m.r.randint(2, 6))]


def measurements(m):
    return {"device": m.uuid(), "unit": m.pick(["celsius", "kPa", "rpm"]), "samples": [{"t": int(m.tick().timestamp() * 1000), "value": round(m.r.gauss(20, 5), 3), "quality": m.r.randint(0, 3)} for _ in range(m.r.randint(8, 40))]}


def orders(m):
    return {"data": [{"orderId": "ORD-" + m.ident(8).upper(), "customer_name": m.name(), "currency": m.pick(["EUR", "USD", "JPY"]), "total": m.money(), "lines": [{"sku": f"{m.ident(3).upper()}-{m.r.randrange(9999):04}", "title": f"{m.pick(ADJ)} {m.pick(WORD)}".title(), "quantity": m.r.randint(1, 9), "unit_price": m.money()} for _ in range(m.r.randint(1, 5))]} for _ in range(m.r.randint(2, 5))], "page": m.r.randint(1, 50), "has_more": m.chance(0.5)}


def bundle(m):
    return {"resourceType": "Bundle", "type": "searchset", "total": m.r.randint(1, 90), "entry": [{"fullUrl": "urn:uuid:" + m.uuid(), "resource": m.pick([
        {"resourceType": "Patient", "id": m.ident(10), "gender": m.pick(["female", "male"]), "birthDate": f"{m.r.randint(1930, 2015)}-{m.r.randint(1, 12):02}-{m.r.randint(1, 28):02}", "name": [{"family": m.pick(LAST), "given": [m.pick(FIRST)]}]},
        {"resourceType": "Observation", "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": f"{m.r.randint(1000, 99999)}-{m.r.randint(0, 9)}", "display": m.pick(["Hemoglobin", "Glucose", "Body weight", "Heart rate", "Creatinine"])}]}, "valueQuantity": {"value": round(m.r.random() * 200, 1), "unit": m.pick(["mg/dL", "g/L", "kg", "/min"])}},
        {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "period": {"start": m.tick().isoformat(), "end": m.tick().isoformat()}, "reasonCode": [{"text": m.sentence()}]}])} for _ in range(m.r.randint(2, 7))]}


def openapi(m):
    def operation():
        return {"operationId": m.pick(["list", "get", "delete", "create"]) + m.pick(WORD).title() + m.pick(WORD).title(), "summary": m.sentence(), "parameters": [{"name": m.pick(WORD) + "Id", "in": m.pick(["path", "query"]), "required": m.chance(0.5), "schema": {"type": "string", "format": "uuid"}}], "responses": {"200": {"description": "OK"}, "404": {"description": m.sentence()}}}
    return {"openapi": "3.1.0", "info": {"title": m.pick(WORD).title() + " API", "version": f"{m.r.randint(0, 9)}.{m.r.randint(0, 20)}.{m.r.randint(0, 9)}"}, "paths": {m.path(): {m.pick(["get", "post", "delete"]): operation()} for _ in range(m.r.randint(2, 6))}}


def features(m):
    return {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Point", "coordinates": [round(m.r.uniform(-180, 180), 6), round(m.r.uniform(-90, 90), 6)]}, "properties": {"name": m.pick(CITY), "population": m.r.randrange(10**6), "kind": m.pick(ADJ) + " " + m.pick(WORD)}} for _ in range(m.r.randint(3, 15))]}


def deployment(m):
    app = f"{m.pick(WORD)}-{m.pick(WORD)}"
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app, "namespace": m.pick(WORD), "labels": {"app.kubernetes.io/name": app}, "uid": m.uuid()}, "spec": {"replicas": m.r.randint(1, 9), "template": {"spec": {"containers": [{"name": m.pick(WORD), "image": f"registry.example.com/{m.pick(WORD)}/{m.pick(WORD)}:{m.r.randint(1, 9)}.{m.r.randint(0, 30)}", "env": [{"name": m.pick(WORD).upper() + "_" + m.pick(WORD).upper(), "value": m.pick([m.pick(WORD), str(m.r.randrange(9999)), "true"])} for _ in range(m.r.randint(1, 6))], "resources": {"limits": {"cpu": f"{m.r.randint(1, 20)}00m", "memory": f"{m.pick([128, 256, 512])}Mi"}}} for _ in range(m.r.randint(1, 3))]}}}}


def retrieval(m):
    return {"query": m.sentence(), "results": [{"chunk_id": "chunk-" + m.hex(32), "score": round(m.r.random(), 6), "file_path": m.path()[1:] + ".md", "content": m.text(7), "entities": [{"entity_name": m.pick(WORD).title(), "entity_type": m.pick(["concept", "person", "organization"]), "weight": round(m.r.random() * 9, 1)} for _ in range(m.r.randint(0, 4))]} for _ in range(m.r.randint(2, 6))]}


def dump(m, value):
    style = m.r.randrange(4)
    if style == 0:
        return json.dumps(value, separators=(",", ":"))
    return json.dumps(value, indent=[None, 2, 4][style - 1])


def nginx(m):
    return f'{m.ip()} - - [{m.tick().strftime("%d/%b/%Y:%H:%M:%S")} +0000] "{m.pick(["GET", "POST", "PUT"])} {m.path()} HTTP/1.1" {m.pick([200, 200, 200, 304, 404, 500])} {m.r.randrange(90000)} "-" "{m.pick(["curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "python-requests/2.32.3"])}"'


def syslog(m):
    return f'{m.tick().strftime("%b %d %H:%M:%S")} {m.pick(WORD)}{m.r.randint(1, 20):02} {m.pick(["systemd", "sshd", "kernel", "cron", "dockerd"])}[{m.r.randrange(99999)}]: {m.pick([f"Started {m.pick(ADJ)} {m.pick(WORD)} service.", f"Connection from {m.ip()} port {m.r.randrange(65535)}", f"{m.pick(WORD)}: {m.sentence()}", f"session opened for user {m.pick(FIRST).lower()}"])}'


def python_log(m):
    return f'{m.tick().strftime("%Y-%m-%d %H:%M:%S")},{m.r.randrange(1000):03} {m.pick(["INFO", "INFO", "WARNING", "ERROR", "DEBUG"])} [{m.pick(WORD)}.{m.pick(WORD)}] {m.pick([f"{m.sentence()}", f"request_id={m.hex(16)} took {m.r.random() * 900:.1f} ms", f"retrying {m.path()} in {m.r.randint(1, 60)}s (attempt {m.r.randint(1, 5)}/5)", f"loaded {m.r.randrange(5000)} {m.pick(WORD)}s from s3://{m.pick(WORD)}-{m.pick(WORD)}{m.path()}"])}'


def java_log(m):
    if m.chance(0.3):
        return "\n".join([f"java.lang.{m.pick(['IllegalStateException', 'NullPointerException', 'RuntimeException'])}: {m.sentence()}"] + [f"\tat com.example.{m.pick(WORD)}.{m.pick(WORD).title()}{m.pick(WORD).title()}.{m.pick(['handle', 'run', 'apply', 'get'])}({m.pick(WORD).title()}.java:{m.r.randint(10, 900)})" for _ in range(m.r.randint(3, 9))])
    return f'{m.tick().strftime("%H:%M:%S")}.{m.r.randrange(1000):03} [{m.pick(["main", "http-nio-8080-exec-", "pool-1-thread-"])}{m.r.randint(1, 9)}] {m.pick(["INFO ", "WARN ", "ERROR"])} c.e.{m.pick(WORD)}.{m.pick(WORD).title()}Service - {m.sentence()}'


def json_log(m):
    return json.dumps({"ts": round(m.tick().timestamp(), 3), "level": m.pick(["info", "warn", "error"]), "msg": m.sentence(), "trace_id": m.hex(32), "duration_ms": m.r.randrange(5000)}, separators=(",", ":"))


def klog(m):
    return f'{m.pick("IIWE")}{m.tick().strftime("%m%d %H:%M:%S.%f")} {m.r.randrange(99999):7} {m.pick(WORD)}_{m.pick(WORD)}.go:{m.r.randint(20, 900)}] "{m.sentence()[:-1]}" pod="{m.pick(WORD)}/{m.pick(WORD)}-{m.hex(9)}-{m.ident(5).lower()}" err={m.pick(["nil", "context deadline exceeded"])}'


def postgres(m):
    return f'{m.tick().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]} UTC [{m.r.randrange(9999)}] {m.pick(WORD)}@{m.pick(WORD)} {m.pick(["LOG", "ERROR", "STATEMENT"])}:  {m.pick([f"duration: {m.r.random() * 900:.3f} ms  statement: SELECT {m.pick(WORD)}_id, {m.pick(WORD)} FROM {m.pick(WORD)}s WHERE {m.pick(WORD)} = $1 LIMIT {m.r.randint(1, 500)}", f"checkpoint complete: wrote {m.r.randrange(9000)} buffers ({m.r.random() * 9:.1f}%)", f"relation {chr(34)}{m.pick(WORD)}_{m.pick(WORD)}{chr(34)} does not exist at character {m.r.randint(8, 90)}"])}'


def envoy(m):
    return f'[{m.tick().strftime("%Y-%m-%dT%H:%M:%S")}.{m.r.randrange(1000):03}Z] "{m.pick(["POST", "GET"])} {m.path()} HTTP/2" {m.pick([200, 200, 429, 503])} {m.pick(["-", "UF", "URX", "via_upstream"])} {m.r.randrange(9000)} {m.r.randrange(90000)} {m.r.randrange(3000)} {m.r.randrange(3000)} "{m.ip()}" "openai-python/1.{m.r.randint(10, 99)}.0" "{m.uuid()}" "api.example.com" "{m.ip()}:8443"'


def key_value(m):
    return f'time={m.tick().strftime("%Y-%m-%dT%H:%M:%SZ")} level={m.pick(["info", "debug", "error"])} component={m.pick(WORD)} caller={m.pick(WORD)}.go:{m.r.randint(1, 400)} msg="{m.sentence()[:-1].lower()}" {m.pick(WORD)}={m.r.randrange(10**6)} {m.pick(WORD)}={m.hex(8)}'


def windows(m):
    return f'{m.tick().strftime("%m/%d/%Y %I:%M:%S %p")}\t{m.pick(["Information", "Warning", "Error"])}\t{m.pick(WORD).title()}-{m.pick(WORD).title()}\t{m.r.randrange(9000)}\t{m.sentence()} Process C:\\Program Files\\{m.pick(WORD).title()}\\{m.pick(WORD)}.exe exited with code 0x{m.hex(8)}.'


def wrap(text, width):
    return "\n".join(text[i : i + width] for i in range(0, len(text), width))


def base64_train(m):
    raw = m.r.randbytes(m.r.randint(600, 2400))
    text = base64.b64encode(m.pick([raw, zlib.compress((m.text(9) * 9).encode() + raw)])).decode()
    return m.pick([text, wrap(text, 76), wrap(text, 64), "data:image/png;base64," + text, json.dumps({"data": text})])


def base64_held_out(m):
    kind = m.r.randrange(4)
    if kind == 0:
        head = base64.urlsafe_b64encode(b'{"alg":"RS256","typ":"JWT"}').decode().rstrip("=")
        claims = base64.urlsafe_b64encode(json.dumps({"sub": m.uuid(), "name": m.name(), "iat": 1767225600}).encode()).decode().rstrip("=")
        return "\n".join(f"Bearer {head}.{claims}.{base64.urlsafe_b64encode(m.r.randbytes(256)).decode().rstrip('=')}" for _ in range(3))
    if kind == 1:
        return "-----BEGIN CERTIFICATE-----\n" + wrap(base64.b64encode(b"\x30\x82" + m.r.randbytes(1200)).decode(), 64) + "\n-----END CERTIFICATE-----"
    if kind == 2:
        return base64.b64encode(zlib.compress(" ".join(str(m.r.randrange(10**9)) for _ in range(300)).encode())).decode()
    return f'{{"type":"image","source":{{"type":"base64","media_type":"image/jpeg","data":"/9j/{base64.b64encode(m.r.randbytes(1500)).decode()}"}}}}'


def hexadecimal(m):
    return "\n".join(m.pick([m.hex(64), m.hex(40), " ".join(m.hex(2) for _ in range(16)), m.uuid()]) for _ in range(30))


def write(path, size, seed, make):
    """Writes texts by `make`, one empty line between them, until there are `size` bytes."""
    m, parts, total = Maker(seed), [], 0
    while total < size:
        parts.append(make(m))
        total += len(parts[-1])
    path = ROOT / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def lines(kind, count=25):
    return lambda m: "\n".join(kind(m) for _ in range(count))


def main():
    for seed, kind in enumerate([users, chat, tool_schema, issues, measurements]):
        write(f"train/json/{kind.__name__}.json", 18_000, seed, lambda m, k=kind: dump(m, k(m)))
    for seed, kind in enumerate([orders, bundle, openapi, features, deployment, retrieval]):
        write(f"held-out/json/{kind.__name__}.json", 10_000, 100 + seed, lambda m, k=kind: dump(m, k(m)))
    for seed, kind in enumerate([nginx, syslog, python_log, java_log, json_log]):
        write(f"train/logs/{kind.__name__}.txt", 14_000, 200 + seed, lines(kind))
    for seed, kind in enumerate([klog, postgres, envoy, key_value, windows]):
        write(f"held-out/logs/{kind.__name__}.txt", 10_000, 300 + seed, lines(kind))
    write("train/base64/blobs.txt", 50_000, 400, base64_train)
    write("train/base64/hex.txt", 14_000, 401, hexadecimal)
    write("held-out/base64/mixed.txt", 30_000, 402, base64_held_out)
    write("held-out/base64/digests.txt", 9_000, 403, lambda m: "\n".join(f"{m.hex(64)}  {m.pick(WORD)}/{m.pick(WORD)}.bin" for _ in range(20)))


if __name__ == "__main__":
    main()
