// Figures and moments as they are read.

const NONE = "–";
const known = (value) => value !== null && value !== undefined;
const figure = (value, digits = 0) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const or = (format) => (value) => (known(value) ? format(value) : NONE);
const count = or((n) => (n < 1e5 ? figure(n) : n < 1e6 ? `${figure(n / 1e3)} k` : `${figure(n / 1e6, 1)} M`));
const rate = or((n) => figure(n, n < 10 ? 1 : 0));
const percent = or((part) => `${figure(part * 100, part < 0.1 && part > 0 ? 1 : 0)} %`);
const score = or((n) => figure(n, 2));
const time = or((ms) =>
  ms < 10 ? `${figure(ms, 1)} ms` : ms < 1e3 ? `${figure(ms)} ms` : `${figure(ms / 1e3, ms < 1e4 ? 2 : 1)} s`,
);
const dollars = or((usd) => `$${usd === 0 ? "0" : usd < 0.01 ? usd.toPrecision(2) : figure(usd, usd < 1 ? 4 : 2)}`);
const words = (text) => String(text ?? "").replaceAll("_", " ");
const first = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const clock = (moment) => new Date(moment).toLocaleTimeString("en-GB");

// The machine that is looked at may have another idea of the time than the one that looks.
let skew = 0;
const now = () => Date.now() + skew;
function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  return s < 120
    ? `${s} s`
    : s < 7200
      ? `${Math.round(s / 60)} min`
      : s < 172800
        ? `${Math.round(s / 3600)} h`
        : `${Math.round(s / 86400)} d`;
}
const ago = (moment) => `${span(now() - Date.parse(moment))} ago`;
const within = (moment) => (Date.parse(moment) > now() ? `in ${span(Date.parse(moment) - now())}` : "now");

const GRADES = {
  healthy: "good",
  closed: "good",
  degraded: "warn",
  draining: "warn",
  half_open: "warn",
  warning: "warn",
  unhealthy: "bad",
  open: "bad",
  critical: "bad",
};
const SIGNS = { good: "● ", warn: "▲ ", bad: "■ " };
function pill(element, state, text = words(state)) {
  const grade = GRADES[state] ?? "";
  if (element.dataset.grade !== grade) {
    element.dataset.grade = grade;
    element.className = `pill ${grade}`;
  }
  write(element, (SIGNS[grade] ?? "") + first(text));
}
