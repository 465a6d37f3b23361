//! From a request to the bytes that go out, and when.

use std::{collections::VecDeque, fmt, future::pending, io::Read, sync::Arc, time::Duration};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response,
    body::{Frame, Incoming},
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    http::request,
};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    Behaviour, Fault, Flavour, Shared,
    api::{
        self, Answer, Api,
        strict::{self, Wrong},
    },
    journal::Exchange,
    refusal,
    wire::Fate,
};

/// So that what was written before is on its way when the connection ends.
const SETTLE: Duration = Duration::from_millis(20);
const PIECE_GAP: Duration = Duration::from_millis(1);

pub(super) type Body = UnsyncBoxBody<Bytes, Cut>;

/// The connection ends here.
#[derive(Debug)]
pub(super) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut as scripted")
    }
}

impl std::error::Error for Cut {}

/// A body is a list of these.
enum Step {
    Wait(Duration),
    Send(Bytes),
    /// Send half of this, then end the connection.
    Cut(Bytes),
    Reset,
    Stall,
}

pub(super) async fn answer(
    shared: Arc<Shared>,
    fate: Arc<Fate>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Cut> {
    let (head, body) = request.into_parts();
    let is_prompt = !matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let mut exchange = shared.journal.begin(is_prompt);
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    exchange.received(&head.method, path, &head.headers, &body);

    let behaviour = if is_prompt {
        let in_flight = shared.journal.counters().in_flight;
        let next = shared.next_behaviour();
        if next.capacity.is_some_and(|most| in_flight > most as u64) {
            Behaviour::status(503)
        } else {
            let (behaviour, refused) = shared.limiter.apply(next, in_flight);
            if refused {
                shared.journal.refused();
            }
            behaviour
        }
    } else {
        shared.health()
    };
    if behaviour.fault == Fault::Hang {
        return pending().await;
    }
    sleep(Duration::from_millis(behaviour.latency_ms)).await;
    if behaviour.fault == Fault::Reset {
        exchange.played();
        fate.reset();
        return Err(Cut);
    }

    let reply = if head.method == Method::POST {
        prompt(&shared, &behaviour, &head, &body)
    } else {
        probe(&shared, &behaviour, &head)
    };
    let mut response = Response::builder()
        .status(reply.status)
        .header(CONTENT_TYPE, reply.content_type)
        .header("x-sim-backend", &shared.name);
    if let Some(length) = reply.content_length {
        response = response.header(CONTENT_LENGTH, length);
    }
    for (name, value) in &behaviour.headers {
        let name: HeaderName = name.parse().expect("a scripted header has a valid name");
        response = response.header(name, HeaderValue::from_str(value).expect("a scripted header has a valid value"));
    }
    Ok(response.body(play(reply.steps, exchange, fate)).expect("the parts are valid"))
}

struct Reply {
    status: u16,
    content_type: &'static str,
    content_length: Option<usize>,
    steps: VecDeque<Step>,
}

impl Reply {
    fn json(status: u16, value: &Value, fault: Fault) -> Self {
        let body = Bytes::from(value.to_string());
        let whole = body.len();
        let half = body.slice(..whole / 2);
        let (length, steps) = match fault {
            Fault::ResetAfter(_) => (whole, vec![Step::Send(half), Step::Wait(SETTLE), Step::Reset]),
            Fault::CutAfter(_) => (whole, vec![Step::Cut(body)]),
            Fault::StallAfter(_) => (whole, vec![Step::Send(half), Step::Stall]),
            Fault::TruncateAfter(_) => (half.len(), vec![Step::Send(half)]),
            Fault::None | Fault::Hang | Fault::Reset | Fault::ErrorAfter(_) => (whole, vec![Step::Send(body)]),
        };
        Self { status, content_type: "application/json", content_length: Some(length), steps: steps.into() }
    }

    /// What the service says to a request that is wrong.
    fn wrong(shared: &Shared, api: Option<Api>, Wrong(status, message): &Wrong) -> Self {
        Self::json(*status, &api::error(shared.flavour, api, *status, message), Fault::None)
    }
}

/// The answer to what has no body.
fn probe(shared: &Shared, behaviour: &Behaviour, head: &request::Parts) -> Reply {
    if let Some(report) = &behaviour.report {
        return Reply::json(behaviour.status, report, behaviour.fault);
    }
    let api = match strict::api(shared.flavour, &head.method, head.uri.path()) {
        Ok(api) => api,
        Err(wrong) => return Reply::wrong(shared, None, &wrong),
    };
    if !is_success(behaviour.status) {
        let error = api::error(shared.flavour, Some(api), behaviour.status, "scripted failure");
        return Reply::json(behaviour.status, &error, behaviour.fault);
    }
    if head.method == Method::OPTIONS {
        return Reply { status: 204, content_type: "text/plain", content_length: None, steps: VecDeque::new() };
    }
    let answer = Answer::new(&shared.name, shared.next_number(), &Value::Null, behaviour);
    let is_anthropic = head.headers.contains_key("anthropic-version");
    let flavour = if shared.flavour == Flavour::Proxy && is_anthropic { Flavour::Anthropic } else { shared.flavour };
    Reply::json(behaviour.status, &answer.json(api, flavour), behaviour.fault)
}

fn prompt(shared: &Shared, behaviour: &Behaviour, head: &request::Parts, body: &Bytes) -> Reply {
    let flavour = shared.flavour;
    let api = match strict::api(flavour, &head.method, head.uri.path()) {
        Ok(api) => api,
        Err(wrong) => return Reply::wrong(shared, None, &wrong),
    };
    if !is_success(behaviour.status) {
        let value = api::error(flavour, Some(api), behaviour.status, "scripted failure");
        return Reply::json(behaviour.status, &value, behaviour.fault);
    }
    let is_json = !matches!(api, Api::Object | Api::Anything);
    let request = match parse(&head.headers, body) {
        Some(request) => request,
        None if !is_json => Value::Null,
        None => return Reply::wrong(shared, Some(api), &Wrong(400, "the body is not JSON".to_owned())),
    };
    if let Err(wrong) = strict::check(api, flavour, &head.headers, &request) {
        return Reply::wrong(shared, Some(api), &wrong);
    }
    let answer = Answer::new(&shared.name, shared.next_number(), &request, behaviour);
    if let Some(refusal) = refusal::of(behaviour, &head.headers, answer.model, answer.prompt_tokens) {
        return Reply::json(refusal.status, &refusal.body(flavour, api), Fault::None);
    }
    if api.streams(&request, head.uri.query().unwrap_or_default()) {
        let steps = stream_steps(&answer, api, behaviour);
        return Reply { status: behaviour.status, content_type: api.stream_type(), content_length: None, steps };
    }
    let value = match behaviour.fault {
        Fault::ErrorAfter(_) => api::error(flavour, Some(api), 500, "scripted failure"),
        _ => answer.json(api, flavour),
    };
    Reply::json(behaviour.status, &value, behaviour.fault)
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// The body as JSON, unpacked first where it is gzip.
fn parse(headers: &HeaderMap, body: &Bytes) -> Option<Value> {
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        let mut plain = Vec::new();
        MultiGzDecoder::new(body.as_ref()).read_to_end(&mut plain).ok()?;
        return serde_json::from_slice(&plain).ok();
    }
    serde_json::from_slice(body).ok()
}

fn stream_steps(answer: &Answer, api: Api, behaviour: &Behaviour) -> VecDeque<Step> {
    let frames = answer.frames(api);
    let fault_at = match behaviour.fault {
        Fault::ResetAfter(n)
        | Fault::CutAfter(n)
        | Fault::TruncateAfter(n)
        | Fault::ErrorAfter(n)
        | Fault::StallAfter(n) => Some(n as usize),
        Fault::None | Fault::Hang | Fault::Reset => None,
    };
    let mut steps = VecDeque::new();
    let send = |steps: &mut VecDeque<Step>, bytes: Bytes| match behaviour.piece_bytes {
        Some(size) => {
            for piece in bytes.chunks(size.max(1)) {
                steps.extend([Step::Send(bytes.slice_ref(piece)), Step::Wait(PIECE_GAP)]);
            }
        }
        None => steps.push_back(Step::Send(bytes)),
    };
    for frame in frames.head {
        send(&mut steps, frame);
    }
    let mut tokens = frames.tokens.into_iter();
    for index in 0..fault_at.unwrap_or(usize::MAX).min(tokens.len()) {
        let wait = if index == 0 { behaviour.first_token_ms } else { behaviour.inter_token_ms };
        if wait > 0 {
            steps.push_back(Step::Wait(Duration::from_millis(wait)));
        }
        if let Some(frame) = tokens.next() {
            send(&mut steps, frame);
        }
    }
    let mut rest = tokens.chain(frames.tail);
    match behaviour.fault {
        Fault::None | Fault::Hang | Fault::Reset => rest.for_each(|frame| send(&mut steps, frame)),
        Fault::ResetAfter(_) => steps.extend([Step::Wait(SETTLE), Step::Reset]),
        Fault::CutAfter(_) => steps.extend([Step::Wait(SETTLE), Step::Cut(rest.next().unwrap_or_default())]),
        Fault::ErrorAfter(_) => send(&mut steps, api::error_frame(api, "scripted failure")),
        Fault::StallAfter(_) => steps.push_back(Step::Stall),
        Fault::TruncateAfter(_) => {}
    }
    steps
}

fn play(steps: VecDeque<Step>, exchange: Exchange, fate: Arc<Fate>) -> Body {
    let frames = stream::unfold((steps, exchange, fate), |(mut steps, mut exchange, fate)| async move {
        loop {
            let step = steps.pop_front();
            if steps.is_empty() && !matches!(step, Some(Step::Stall)) {
                exchange.played();
            }
            let frame = match step? {
                Step::Wait(duration) => {
                    sleep(duration).await;
                    continue;
                }
                Step::Send(bytes) => Ok(Frame::data(bytes)),
                Step::Cut(bytes) => {
                    fate.cut();
                    Ok(Frame::data(bytes))
                }
                Step::Reset => {
                    fate.reset();
                    Err(Cut)
                }
                Step::Stall => return pending().await,
            };
            return Some((frame, (steps, exchange, fate)));
        }
    });
    StreamBody::new(frames).boxed_unsync()
}
