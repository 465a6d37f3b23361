// What is changed by hand: each change asks what it needs, and says what became of it.

const dialog = find("dialog");

// Asks for one line; null where it is not given.
function question({ title, text, label, confirm, error = "", secret = false }) {
  const input = find("input", dialog);
  write($("ask-title"), title);
  write($("ask-text"), text);
  write(find("label", dialog), label);
  write(find(".main", dialog), confirm);
  write($("ask-error"), error);
  input.type = secret ? "password" : "text";
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  input.focus();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? input.value.trim() : null), {
      once: true,
    }),
  );
}
find("form", dialog).addEventListener("submit", (event) => {
  event.preventDefault();
  dialog.close("yes");
});
find("[type=button]", dialog).addEventListener("click", () => dialog.close());

function say(text, grade) {
  $("said").className = `notice ${grade}`;
  write($("said"), `${clock(Date.now())} ${text}`);
}

async function act(method, path, content, done) {
  try {
    let answer = await send(method, path, content);
    for (let error = ""; answer.status === 401; error = "The router did not accept this token.") {
      token = "";
      const given = await question({
        title: "Token",
        text: "Changes need this router's token (LLM_ROUTER_CONTROL_TOKEN). It is kept until you leave this page.",
        label: "Token",
        confirm: "Send",
        secret: true,
        error,
      });
      if (given === null) return say("Nothing was changed: there is no token.", "warn");
      token = given;
      answer = await send(method, path, content);
    }
    if (!answer.ok) return say(`Not done: ${await reason(answer)}`, "bad");
    const [change = {}] = Object.values(await answer.json());
    const holds = change.holds_until ?? change.holds;
    say(
      `${done}.` +
        (holds
          ? ` It holds ${holds.replace("retry_at", change.retry_at ? clock(change.retry_at) : "its retry")}.`
          : ""),
      "good",
    );
  } catch (error) {
    say(`Not done, as far as is known: ${error.message}`, "bad");
  } finally {
    poll();
  }
}

function send(method, path, content) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  return fetch(API + path, { method, headers, body: JSON.stringify(content), signal: AbortSignal.timeout(PATIENCE) });
}

const ACTIONS = {
  async drain({ id, draining }) {
    const path = `backends/${encodeURIComponent(id)}`;
    if (draining) return act("POST", `${path}/undrain`, {}, `${id} is in use again`);
    const given = await question({
      title: `Drain ${id}`,
      text: "It gets no new requests; those under way are finished.",
      label: "Reason",
      confirm: "Drain",
    });
    if (given !== null) act("POST", `${path}/drain`, { reason: given }, `${id} is draining`);
  },
  async breaker({ id, circuit_breaker: { status } }) {
    const path = `circuit-breaker/${encodeURIComponent(id)}`;
    if (status !== "closed") return act("POST", `${path}/close`, {}, `The breaker of ${id} is closed`);
    const given = await question({
      title: `Open the breaker of ${id}`,
      text: "It gets no requests until the breaker tries it again.",
      label: "Reason, for the log",
      confirm: "Open",
    });
    if (given !== null) act("POST", `${path}/open`, given ? { reason: given } : {}, `The breaker of ${id} is open`);
  },
};

poll();
