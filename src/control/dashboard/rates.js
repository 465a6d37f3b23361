// What happens in a second, from the totals of two polls.

// Rates are over so long; the little curve is of a minute.
const RATE_SPAN = 10000;
const KEPT = 60000;

let samples = [];

function remember(all) {
  const sum = (key) => all.reduce((sum, row) => sum + (row[key] ?? 0), 0);
  const sample = {
    at: Date.now(),
    requests: sum("requests"),
    cost: sum("cost"),
    of: new Map(all.map((row) => [row.id, row.requests])),
  };
  // Counters that fell belong to another life of Envoy.
  if (samples.length && sample.requests < samples.at(-1).requests) samples = [];
  samples = [...samples.filter((old) => sample.at - old.at <= KEPT), sample];
}

// A second of what `of` counts, between a sample and the newest before it that is `over` ms older.
function speed(of, over, to = samples.length - 1) {
  const from = Math.max(
    0,
    samples.findLastIndex((old) => samples[to].at - old.at >= over),
  );
  const [begin, end] = [samples[from], samples[to]];
  const gained = of(end) - of(begin);
  return end.at > begin.at && gained >= 0 ? (gained * 1000) / (end.at - begin.at) : null;
}
