//! A day before backends that behave as they are told, one event after the other.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::*;
use crate::cost::price_of;
use crate::domain::{Backend, PicoUsd, Usage};
use crate::exchange::Phase;

/// How a backend counts prompts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tokenizer {
    O200k,
    Cl100k,
    /// Of which nothing is published but that it needs about a fifth more.
    Unpublished,
}

/// What a backend is like, besides its configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nature {
    pub(super) id: &'static str,
    pub(super) tokenizer: Tokenizer,
    /// How long its answers are, against the kind's.
    pub(super) verbosity: f64,
    /// Until the first token, in seconds: the median; spread by 0.5.
    pub(super) first_token: f64,
    pub(super) tokens_per_second: f64,
    /// In a thousand attempts.
    pub(super) failures: u64,
    /// When it answers nobody, in hours of the day.
    pub(super) outage: Option<(f64, f64)>,
    /// Whether it keeps the beginnings of prompts for ten minutes, and takes less for them.
    pub(super) caches: bool,
}

/// A request that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) kind: &'static Kind,
    /// Who answered, by place in the list.
    pub(super) backend: usize,
    pub(super) attempts: usize,
    pub(super) answered: bool,
    /// What it was expected to cost at the first backend.
    pub(super) estimated: PicoUsd,
    pub(super) usage: Usage,
    pub(super) cost: PicoUsd,
    /// Seconds until its last token.
    pub(super) took: f64,
}

/// The day at work.
pub(super) struct Run<'d> {
    rig: Rig,
    natures: &'d [Nature],
    day: &'d [Asked<'d>],
    /// Whether each kind has a model of its own.
    models: bool,
    open: BTreeMap<(u64, usize), (Exchange, Done, bool)>,
    done: Vec<Done>,
    /// Of each conversation and backend: when it was last there, and how long the prompt was.
    cached: HashMap<(usize, usize), (u64, u64)>,
}

impl<'d> Run<'d> {
    pub(super) fn new(config: &serde_json::Value, natures: &'d [Nature], day: &'d [Asked<'d>], models: bool) -> Self {
        let rig = Rig::new(config);
        let (open, done, cached) = (BTreeMap::new(), Vec::new(), HashMap::new());
        Self { rig, natures, day, models, open, done, cached }
    }

    /// All of it, and what the router says that it cost, in micro-dollars.
    pub(super) fn whole(mut self) -> (Vec<Done>, u64) {
        let begin = World::START.as_micros();
        for (number, asked) in self.day.iter().enumerate() {
            let now = begin + asked.at;
            self.until(now);
            self.rig.world.now.set(now);
            // Between two requests it makes no difference when the ticks are.
            self.rig.view.refresh(&self.rig.world, self.rig.world.now()).expect("refreshed");
            self.send(number, asked);
        }
        self.until(u64::MAX);
        (self.done, self.rig.metric("request_cost_micro_usd_total"))
    }

    fn until(&mut self, moment: u64) {
        while let Some(entry) = self.open.first_entry().filter(|entry| entry.key().0 <= moment) {
            let ((at, number), (exchange, done, begun)) = entry.remove_entry();
            self.rig.world.now.set(at);
            self.answer(at, number, exchange, done, begun);
        }
    }

    pub(super) fn backend_named(&self, id: &str) -> &Backend {
        self.rig.router.config().backends.iter().find(|backend| *backend.id == *id).expect("configured")
    }

    fn backend(&self, nature: usize) -> &Backend {
        self.backend_named(self.natures[nature].id)
    }

    fn send(&mut self, number: usize, asked: &Asked<'_>) {
        let body = asked.body(self.models);
        let mut exchange = Exchange::default();
        assert_eq!(self.rig.send(&mut exchange, &[], &body), Flow::Continue);
        let Phase::Routed(route) = &exchange.phase else { panic!("not on its way") };
        let estimated = self.rig.router.estimate(&self.rig.view, route, route.attempts.first()).cost;
        let slots = ["x-llm-try-0", "x-llm-try-1", "x-llm-try-2", "x-llm-try-3"];
        let mut planned: Vec<_> = slots.iter().filter_map(|name| self.rig.header(name)).collect();
        if planned.is_empty() {
            planned.extend(self.rig.header("x-llm-cluster"));
        }
        let planned = planned.iter().map(|id| self.natures.iter().position(|nature| nature.id == id).expect("known"));
        let planned: Vec<_> = planned.collect();
        let mut at = self.rig.world.now().as_micros();
        let mut attempts = 0;
        let mut answered = false;
        // What happens to an attempt depends on the request and the backend alone, so that strategies have the same luck.
        for &backend in &planned {
            attempts += 1;
            let nature = &self.natures[backend];
            let mut luck = SplitMix64::new((number * 64 + backend) as u64);
            let hour = (at - World::START.as_micros()) as f64 / SECOND as f64 / 3_600.0;
            let is_out = nature.outage.is_some_and(|(from, to)| (from..to).contains(&hour));
            answered = !is_out && luck.below(1_000) as u64 >= nature.failures;
            at += (nature.first_token * (0.5 * normal(&mut luck)).exp() * SECOND as f64) as u64;
            if answered {
                break;
            }
        }
        let backend = planned[attempts - 1];
        let usage = if answered { self.usage(asked, backend) } else { Usage::default() };
        let cost = price_of(&usage, &self.backend(backend).prices);
        let done = Done { kind: asked.kind, backend, attempts, answered, estimated, usage, cost, took: 0.0 };
        self.open.insert((at, number), (exchange, done, false));
    }

    /// What a backend reports.
    fn usage(&mut self, asked: &Asked<'_>, backend: usize) -> Usage {
        let nature = self.natures[backend];
        let input = asked.prompt_tokens(nature.tokenizer);
        let mut cached = 0;
        if nature.caches && asked.kind.converses {
            let now = self.rig.world.now().as_micros();
            if let Some((at, tokens)) = self.cached.insert((asked.conversation, backend), (now, input))
                && now - at < 600 * SECOND
                && input >= 1_024
            {
                cached = tokens / 128 * 128;
            }
        }
        let output = asked.answer_tokens(nature.verbosity * asked.kind.answer.of(asked.luck));
        Usage { input: Tokens(input), cached_input: Tokens(cached), output: Tokens(output) }
    }

    /// The next thing that is heard of an answer: its beginning, or its end.
    fn answer(&mut self, at: u64, number: usize, mut exchange: Exchange, mut done: Done, begun: bool) {
        let Rig { world, router, view } = &mut self.rig;
        let mut cx = Context { router, view, host: &*world };
        if !begun {
            world.set_number(Property::AttemptCount, done.attempts as u64);
            world.set_number(Property::ResponseFlags, 0);
            let (status, kind) = if done.answered { ("200", "text/event-stream") } else { ("503", "application/json") };
            world.response.replace(fake::headers(&[(":status", status), ("content-type", kind)]));
            exchange.response_headers(&mut cx, !done.answered);
        }
        if done.answered && !begun {
            let first = "data: {\"choices\":[{\"delta\":{\"content\":\"So\"}}]}\n\n";
            world.chunk.replace(first.into());
            exchange.response_body(&mut cx, first.len(), false);
            let rest = done.usage.output.0 as f64 / self.natures[done.backend].tokens_per_second;
            self.open.insert((at + (rest * SECOND as f64) as u64, number), (exchange, done, true));
            return;
        }
        if done.answered {
            let Usage { input, cached_input, output } = done.usage;
            let usage = json!({
                "prompt_tokens": input.0, "completion_tokens": output.0, "total_tokens": input.0 + output.0,
                "prompt_tokens_details": { "cached_tokens": cached_input.0 },
            });
            let last = format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n");
            world.chunk.replace(last.clone().into());
            exchange.response_body(&mut cx, last.len(), true);
        }
        exchange.log(&mut cx);
        done.took = (at - World::START.as_micros() - self.day[number].at) as f64 / SECOND as f64;
        self.done.push(done);
    }
}

impl Asked<'_> {
    fn body(&self, models: bool) -> String {
        let model = if models { self.kind.name } else { "default" };
        let mut body =
            format!("{{\"model\":\"{model}\",\"stream\":true,\"stream_options\":{{\"include_usage\":true}},");
        if let Some(most) = self.kind.max_tokens {
            write!(body, "\"max_tokens\":{most},").expect("written");
        }
        body.push_str("\"messages\":[");
        for (n, pieces) in self.messages.iter().enumerate() {
            let role = if n == 0 { "system" } else { ["assistant", "user"][n % 2] };
            write!(body, "{}{{\"role\":\"{role}\",\"content\":\"", if n > 0 { "," } else { "" }).expect("written");
            body.extend(pieces.iter().map(|piece| &*piece.escaped));
            body.push_str("\"}");
        }
        body.push_str("]}");
        body
    }

    /// As a provider counts the prompt: its text, four tokens for each message, three for the answer's beginning.
    pub(super) fn prompt_tokens(&self, tokenizer: Tokenizer) -> u64 {
        let pieces = || self.messages.iter().flatten();
        let text = match tokenizer {
            Tokenizer::O200k => pieces().map(|piece| u64::from(piece.o200k)).sum(),
            Tokenizer::Cl100k => pieces().map(|piece| u64::from(piece.cl100k)).sum(),
            Tokenizer::Unpublished => pieces().map(|piece| u64::from(piece.cl100k)).sum::<u64>() * 6 / 5,
        };
        text + 4 * self.messages.len() as u64 + 3
    }

    /// An answer is never longer than was allowed.
    pub(super) fn answer_tokens(&self, wanted: f64) -> u64 {
        (wanted.round() as u64).clamp(1, self.kind.max_tokens.unwrap_or(u64::MAX))
    }
}
