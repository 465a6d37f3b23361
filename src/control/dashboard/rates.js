// What happens in a second, from the totals of two polls.

// Rates are over so long; the little curve is of a minute.
const RATE_SPAN = 10000;
const KEPT = 60000;

let samples = [];

function remember(all) {
  const of = new Map(all.map((row) => [row.id, { requests: row.requests ?? 0, cost: row.cost ?? 0 }]));
  // Counters that fell belong to another life of Envoy.
  const fell = ([id, now]) => now.requests < samples.at(-1)?.of.get(id)?.requests;
  if ([...of].some(fell)) samples = [];
  const last = samples.at(-1);
  // By how much the totals grew: a backend that comes back has all its former requests, and one that goes takes its own.
  const grown = (key) =>
    [...of].reduce((sum, [id, now]) => sum + now[key] - (last?.of.get(id) ?? now)[key], last?.[key] ?? 0);
  const sample = { at: Date.now(), requests: grown("requests"), cost: grown("cost"), of };
  samples = [...samples.filter((old) => sample.at - old.at <= KEPT), sample];
}

// A second of what `of` counts, between a sample and the newest before it that is `over` ms older; of a backend that was
// not there then, the first that knows it.
function speed(of, over, to = samples.length - 1) {
  const end = samples[to];
  const before = samples.slice(0, to + 1).filter((old) => known(of(old)));
  const begin = before.findLast((old) => end.at - old.at >= over) ?? before[0];
  const gained = of(end) - of(begin);
  return end.at > begin.at && gained >= 0 ? (gained * 1000) / (end.at - begin.at) : null;
}
