#!/usr/bin/env bash
# docker-compose.yml, run for real: built, started, asked, watched, and taken down. Not part of scripts/test.sh: it takes
# some minutes and 2 GB of disk for a while.
#
#   scripts/compose-test.sh             on Debian, as root, without any image registry and without Grafana
#   scripts/compose-test.sh --docker    with your own Docker, which pulls the images; ports of 127.0.0.1 must be free
#
# The first form fetches Debian's docker.io, docker-compose and debootstrap, and keeps apart from the machine: a dockerd of
# its own, in namespaces of its own for network, mounts and processes, with its data in a temporary directory. Whatever
# ends this script ends all of that. The images are made of a Debian root (debootstrap), Envoy's PyPI wheel and Debian's
# Prometheus and Alertmanager; Grafana is in none of these, so its service is left out, which the script says.
# shellcheck source=scripts/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

SERVICES=(envoy backends prometheus alertmanager)
work=
compose=()
# Files that this script made outside of $work.
made=()

fail() {
  "${compose[@]}" ps >&2 || true
  "${compose[@]}" logs --no-color --tail=40 >&2 || true
  die "$1"
}

# --- what is checked, wherever Docker comes from -----------------------------------------------------------------------

test_stack() {
  local deadline service
  compose=(docker compose --project-name "llm-router-test-$$")
  docker compose version >/dev/null 2>&1 || compose=(docker-compose --project-name "llm-router-test-$$")
  say "building and starting: ${SERVICES[*]}"
  "${compose[@]}" up --detach --build "${SERVICES[@]}" || fail "docker compose up failed"
  deadline=$((SECONDS + 120))
  for service in "${SERVICES[@]}"; do
    until [ "$(health "$service")" = healthy ]; do
      [ "$SECONDS" -lt "$deadline" ] || fail "$service is $(health "$service"), not healthy"
      sleep 1
    done
    say "healthy: $service"
  done
  answers
  watched
  confined
  "${compose[@]}" down --volumes --remove-orphans --timeout 10 || fail "docker compose down failed"
  compose=()
  [ -z "$(docker ps --all --quiet --filter "label=com.docker.compose.project=llm-router-test-$$")" ] || die "a container is left"
  [ -z "$(docker volume ls --quiet --filter "label=com.docker.compose.project=llm-router-test-$$")" ] || die "a volume is left"
  say "the stack works"
}

health() { docker inspect --format '{{.State.Health.Status}}' "$("${compose[@]}" ps --quiet "$1")" 2>/dev/null || echo missing; }

# Requests through the published port, each to the backend that speaks its API, and the control API.
answers() {
  local id path body status question='[{"role":"user","content":"What does a request router do?"}]'
  while read -r id path body; do
    status="$(curl -sS -m 10 -o "$work/answer" -D "$work/headers" -w '%{http_code}' -H 'content-type: application/json' \
      -H 'anthropic-version: 2023-06-01' -d "$body" "http://127.0.0.1:${LLM_ROUTER_PORT:-10000}$path")" || status=000
    if [ "$status" != 200 ] || ! grep -qi "^x-llm-backend: $id" "$work/headers"; then fail "$path was answered $status"; fi
    say "$path: $status, $(tr -d '\r' <"$work/headers" | grep -i '^x-llm-backend')"
  done <<REQUESTS
openai_primary /v1/chat/completions {"model":"gpt-4o","messages":$question}
openai_primary /v1/chat/completions {"model":"gpt-4o","stream":true,"messages":$question}
anthropic_primary /v1/messages {"model":"claude-sonnet-4-5","max_tokens":64,"messages":$question}
lightrag_primary /query {"query":"What does a request router do?","mode":"hybrid"}
REQUESTS
  curl_says "http://127.0.0.1:${LLM_ROUTER_CONTROL_PORT:-8888}/api/v1/router/health" '"total_backends":4' ||
    fail "the control API does not know four backends"
}

watched() {
  local prometheus="http://127.0.0.1:${PROMETHEUS_PORT:-9090}" alertmanager="http://127.0.0.1:${ALERTMANAGER_PORT:-9093}"
  await 'Prometheus has what the router counts' scraped "$prometheus"
  await 'Prometheus knows Alertmanager' curl_says "$prometheus/api/v1/alertmanagers" '"url":"http://alertmanager:9093/'
  curl_says "$prometheus/api/v1/rules" '"name":"CircuitBreakerOpen"' || fail "Prometheus has no rules"
  curl_says "$alertmanager/api/v2/status" '"original":' || fail "Alertmanager has no configuration"
  case " ${SERVICES[*]} " in
  *' grafana '*) curl_says "http://127.0.0.1:${GRAFANA_PORT:-3000}/api/search" '"title":"llm-router"' || fail "Grafana has no dashboard" ;;
  esac
}

# curl_says URL TEXT: whether the answer has it. All of it is read first: curl fails when nobody reads on.
curl_says() {
  local answer
  answer="$(curl -fsS -m 10 "$1")" && [[ $answer == *"$2"* ]]
}

scraped() { curl_says "$1/api/v1/query?query=sum(loadbalancer_requests_total)%20%3E%3D%204" '"value":['; }

await() {
  local what=$1 deadline=$((SECONDS + 90))
  shift
  until "$@" 2>/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || fail "not within 90 s: $what"
    sleep 1
  done
  say "$what"
}

# Nobody is root, can write outside of what is his, or gain a privilege.
confined() {
  local service id
  for service in "${SERVICES[@]}"; do
    id="$("${compose[@]}" ps --quiet "$service")"
    docker exec "$id" bash -c 'exec 2>/dev/null; [ "$(id -u)" != 0 ] && ! : >/tried && : >/tmp/tried' ||
      [ "$service" = grafana ] || no_shell "$service" || fail "$service is root, or can write to its image"
    docker inspect --format '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.Config.User}}' "$id" |
      grep -qE '^true \[ALL\] \[no-new-privileges:true\] [1-9][0-9]*:[0-9]+$' || fail "$service is not confined"
  done
}

# Prometheus' own images have a shell, but no bash: then what Docker says of them must do.
no_shell() { [ "$1" = prometheus ] || [ "$1" = alertmanager ]; }

# --- a Docker apart from the machine -----------------------------------------------------------------------------------

take_down() {
  [ "${#compose[@]}" = 0 ] || "${compose[@]}" down --volumes --remove-orphans --timeout 5 >/dev/null 2>&1 || true
}

clean_up() {
  local status=$?
  trap - EXIT INT TERM
  take_down
  # The namespaces are gone, and with them every process and mount in there.
  if [ -n "$work" ]; then
    rm -rf --one-file-system -- "$work"
    find /sys/fs/cgroup -depth -type d -path "/sys/fs/cgroup/*${work##*/}*" -exec rmdir {} + 2>/dev/null || true
  fi
  [ "${#made[@]}" = 0 ] || rm -f -- "${made[@]}"
  exit "$status"
}

# Debian would start what it installs. However this ends, the policy goes with it.
without_services() {
  local policy=/usr/sbin/policy-rc.d
  if [ -e "$policy" ]; then
    ("$@")
    return
  fi
  made+=("$policy")
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  ("$@") || die "installing failed"
  rm -f -- "$policy"
}

install_docker() {
  need dockerd docker.io
  need docker-compose docker-compose
  need debootstrap debootstrap
}

# What the images are made of; the network is only needed here.
fetch_parts() {
  local suite mirror tools
  # shellcheck source=/dev/null
  suite="$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")"
  # shellcheck disable=SC2016   # apt's, not the shell's
  mirror="$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" 'Created-By: Packages' | head -n 1)"
  say "making a root of Debian $suite"
  debootstrap --variant=minbase "$suite" "$work/root" ${mirror:+"$mirror"} >"$work/debootstrap.log" 2>&1 ||
    { tail -n 20 "$work/debootstrap.log" >&2 && die "debootstrap failed"; }
  rm -rf -- "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
  mkdir -p "$work/envoy" "$work/prometheus"
  cp -- "$(scripts/envoy.sh)" "$work/envoy/envoy"
  tools="$(unpacked_packages prometheus prometheus prometheus-alertmanager)"
  cp -r -- "$tools/usr" "$work/prometheus/usr"
  ensure_rust
  scripts/build.sh >&2
  cargo build --locked -p wasm-tests --bin sim-backends
  [ -e dist/sim-backends ] || made+=("$ROOT/dist/sim-backends")
  strip -o dist/sim-backends "$(target_dir)/debug/sim-backends"
}

# image NAME DIRECTORY: from the Dockerfile on standard input.
image() { docker build --quiet --tag "$1" --file - "$2" >/dev/null || die "the image $1 could not be made"; }

make_images() {
  tar -C "$work/root" -c . | docker import - test/debian >/dev/null || die "docker import failed"
  image test/envoy "$work/envoy" <<'DOCKERFILE'
FROM test/debian
COPY --chmod=755 envoy /usr/local/bin/envoy
DOCKERFILE
  # As those of the Prometheus project are: these names, this user, these directories.
  image test/prometheus "$work/prometheus" <<'DOCKERFILE'
FROM test/debian
COPY usr /usr
RUN ln -s prometheus-alertmanager /usr/bin/alertmanager && install -d -o 65534 -g 65534 /prometheus /alertmanager
USER 65534
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]
DOCKERFILE
  image test/alertmanager "$work/prometheus" <<'DOCKERFILE'
FROM test/prometheus
WORKDIR /alertmanager
ENTRYPOINT ["/bin/alertmanager"]
DOCKERFILE
}

# What Kubernetes and Envoy Gateway take: the module, as the one file of an image.
module_image() {
  docker build --quiet --file envoy/Dockerfile --target module --build-arg MODULE_FROM=dist --tag test/module . >/dev/null ||
    die "the image of the module could not be made"
  docker cp "$(docker create test/module none):/plugin.wasm" "$work/plugin.wasm" || die "the image holds no module"
  cmp "$work/plugin.wasm" "$MODULE" || die "the image of the module holds another one"
}

# Inside the namespaces: there is no network but our own, and no process of anybody else.
inside() {
  local tries
  work=$1
  ip link set lo up
  mount -t tmpfs tmpfs /run
  mkdir -p "$work/docker"
  echo '{}' >"$work/daemon.json"
  # Debian's own client and compose, whatever else is on this machine.
  export PATH="/usr/sbin:/usr/bin:/sbin:/bin" DOCKER_HOST="unix://$work/docker.sock" DOCKER_CONFIG="$work/docker"
  export DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1
  dockerd --config-file "$work/daemon.json" --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/dockerd.pid" \
    --cgroup-parent "/${work##*/}" --host "$DOCKER_HOST" >"$work/dockerd.log" 2>&1 &
  local dockerd=$!
  for ((tries = 0; tries < 300; tries++)); do
    docker info >/dev/null 2>&1 && break
    kill -0 "$dockerd" 2>/dev/null || { tail -n 30 "$work/dockerd.log" >&2 && die "dockerd ended"; }
    sleep 0.1
  done
  docker info --format 'dockerd {{.ServerVersion}}, {{.Driver}}, cgroup {{.CgroupVersion}}' >&2 ||
    { tail -n 30 "$work/dockerd.log" >&2 && die "dockerd does not answer"; }
  make_images
  module_image
  say 'Grafana is left out: Debian has no package of it'
  export MODULE_FROM=dist ENVOY_IMAGE=test/envoy RUNTIME_IMAGE=test/debian RUST_IMAGE=test/debian
  export PROMETHEUS_IMAGE=test/prometheus ALERTMANAGER_IMAGE=test/alertmanager
  test_stack
  kill "$dockerd"
  wait "$dockerd" || true
}

apart() {
  if [ "$(id -u)" != 0 ] || ! have apt-get; then die "this needs root on Debian (or --docker, with a Docker of yours)"; fi
  need curl curl
  need node nodejs
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  work="$(mktemp -d)"
  without_services install_docker
  fetch_parts
  unshare --net --mount --pid --fork --kill-child --mount-proc "$ROOT/scripts/compose-test.sh" --inside "$work"
}

case "${1:-}" in
"") apart ;;
--inside) inside "$2" ;;
--docker)
  SERVICES+=(grafana)
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  work="$(mktemp -d)"
  test_stack
  ;;
*) die "usage: scripts/compose-test.sh [--docker]" ;;
esac
