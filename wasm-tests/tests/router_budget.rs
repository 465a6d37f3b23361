//! Money and rates on a real Envoy with four workers: budgets hold however many ask at once, and are used up.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    reason = "a test"
)]

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use wasm_tests::{
    backend::{Backend, Behaviour, Flavour, PromptTokens},
    client::{Client, Reply},
    envoy::{self, Envoy, Route},
    load::{Load, load},
    router::{chat, counted, news_travels, settled, streamed_chat, until},
    sabotage::{TRAP, trap, trapping},
};

const PATH: &str = "/v1/chat/completions";

/// A dollar for a thousand tokens: a token is a thousandth of a dollar.
const PRICE: f64 = 1.0;

/// What a request of [`question`] costs, in thousandths of a dollar: its prompt, and the answer.
const COST: u64 = PROMPT + 16;

/// About what the router estimates for [`question`], too.
const PROMPT: u64 = 100;

/// Somebody asks something of so many tokens, and wants no more than the usual answer.
fn question(mut request: Value) -> Value {
    request["messages"][0]["content"] = "hello ".repeat(92).into();
    request["max_tokens"] = 16.into();
    request
}

async fn backend(name: &str) -> Backend {
    let backend = Backend::start(name, Flavour::OpenAi).await;
    backend.set(plain());
    backend
}

fn plain() -> Behaviour {
    Behaviour { prompt_tokens: PromptTokens::Exactly(PROMPT), ..Behaviour::default() }
}

async fn rig(backends: &[Backend], instances: Value, cost: Value) -> Envoy {
    clear_of_midnight().await;
    let router = json!({"strategy": "round_robin", "retry": {"max_attempts": 1},
        "backend_instances": instances, "cost": cost});
    Envoy::builder()
        .concurrency(4)
        .backends(backends)
        .route(Route::ClusterHeader)
        .router(router)
        .control()
        .start()
        .await
}

/// A day's budget begins anew at midnight: no test is to be under way then.
async fn clear_of_midnight() {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let left = 86_400 - since_epoch % 86_400;
    if left < 120 {
        sleep(Duration::from_secs(left + 1)).await;
    }
}

async fn ask(envoy: &Envoy, headers: &[(&str, &str)]) -> Reply {
    Client::new().post_json_with(&envoy.url(PATH), headers, &question(chat(""))).await.unwrap()
}

async fn ask_many(envoy: &Envoy, requests: usize, clients: usize) -> Load {
    let body = question(chat(""));
    load(&Client::new(), requests, clients, |_| Client::json_request(&envoy.url(PATH), &body)).await
}

fn code(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

fn exhausted() -> (u16, String) {
    (429, "budget_exceeded".to_owned())
}

/// As a worker shows it that has a router: a VM that was made anew has none before the first request.
async fn budget(envoy: &Envoy) -> Value {
    for _ in 0..1_000 {
        let reply = Client::new().get(&envoy.control_url("/budget")).await.unwrap();
        if reply.status == 200 {
            return reply.json();
        }
        assert_eq!(code(&reply), (503, "no_router".to_owned()));
        // To look something up is free, and has a worker make its VM anew.
        Client::new().get(&envoy.url("/v1/models")).await.unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    panic!("no worker has a router");
}

/// Dollars, in thousandths.
fn thousandths(value: &Value) -> u64 {
    (value.as_f64().unwrap_or_else(|| panic!("{value}")) * 1e3).round() as u64
}

/// What was spent in the day, in thousandths of a dollar, once nothing is reserved any more and every worker knows it.
async fn spent(envoy: &Envoy) -> u64 {
    until("nothing is reserved", || async {
        news_travels().await;
        budget(envoy).await["overall"]["reserved_usd"] == 0
    })
    .await;
    thousandths(&budget(envoy).await["overall"]["day"]["spent_usd"])
}

/// Asks until a request is refused for the rest of the day; how many were served.
async fn use_up(envoy: &Envoy) -> u64 {
    let mut served = 0;
    loop {
        let reply = ask(envoy, &[]).await;
        if reply.status == 200 {
            served += 1;
            continue;
        }
        assert_eq!(code(&reply), exhausted());
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        // One that is told to come back in a second was faster than the end of the one before.
        if wait > 1 {
            return served;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

fn assert_used_up(spent: u64, limit: u64) {
    assert!(spent <= limit && spent * 100 >= limit * 99, "{spent} of {limit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_clients_at_once_spend_a_budget_and_not_more() {
    let backends = [backend("alpha").await, backend("beta").await];
    let limit = 500 * COST;
    let instances = json!({"alpha": {"cost_per_1k_tokens": PRICE}, "beta": {"cost_per_1k_tokens": PRICE}});
    let envoy = rig(&backends, instances, json!({"daily_budget_usd": limit as f64 / 1e3})).await;
    let sent = ask_many(&envoy, 1_500, 64).await;
    let by_status = sent.by_status();
    assert!(by_status.keys().all(|status| [200, 429].contains(status)), "{by_status:?}");
    for refused in sent.answers().filter(|reply| reply.status == 429) {
        assert_eq!(code(refused), exhausted());
        assert!(refused.header("retry-after").is_some());
    }
    let served = by_status[&200] as u64 + use_up(&envoy).await;
    let paid = spent(&envoy).await;
    assert_eq!(paid, served * COST, "each is paid once");
    assert_used_up(paid, limit);
    assert_eq!(backends.iter().map(|backend| backend.counters().prompts).sum::<u64>(), served);
    let stats = settled(&envoy).await;
    assert_eq!(counted(&stats, "budget_spent_micro_usd", &[("window", "day")]), paid * 1_000);
    assert_eq!(counted(&stats, "usage_estimated_total", &[]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_all_cut_halfway_are_paid_for_and_the_budget_holds() {
    let backends = [backend("alpha").await];
    backends[0].set(Behaviour { inter_token_ms: 4, ..plain() });
    let limit = 500 * COST;
    let envoy = rig(
        &backends,
        json!({"alpha": {"cost_per_1k_tokens": PRICE}}),
        json!({"daily_budget_usd": limit as f64 / 1e3}),
    )
    .await;
    let mut clients = JoinSet::new();
    for _ in 0..64 {
        let url = envoy.url(PATH);
        clients.spawn(async move {
            let (client, mut served) = (Client::new(), 0_u64);
            for _ in 0..14 {
                let mut stream = client.open(Client::json_request(&url, &question(streamed_chat("")))).await.unwrap();
                if stream.status == 200 {
                    // A few of its sixteen pieces.
                    stream.read_at_least(1_200).await.unwrap();
                    served += 1;
                }
                stream.cut();
            }
            served
        });
    }
    let cut: u64 = clients.join_all().await.into_iter().sum();
    assert!(cut > 400, "{cut}");
    let by_streams = spent(&envoy).await;
    assert!((cut * PROMPT * 95 / 100..=cut * COST * 110 / 100).contains(&by_streams), "{by_streams} for {cut}");
    use_up(&envoy).await;
    assert_used_up(spent(&envoy).await, limit);
    let stats = settled(&envoy).await;
    // On a machine that stands still for a while, some came to their last mark before their client cut them.
    let estimated = counted(&stats, "usage_estimated_total", &[("backend_id", "alpha")]);
    assert!((cut / 2..=cut).contains(&estimated), "{estimated} of {cut}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_budget_the_cheapest_serves_where_the_operator_wants_that() {
    let backends = [backend("cheap").await, backend("dear").await];
    let instances = json!({"cheap": {"cost_per_1k_tokens": 0.5}, "dear": {"cost_per_1k_tokens": PRICE}});
    let cost = json!({"hourly_budget_usd": 1_000, "daily_budget_usd": 2, "on_exhausted": "cheapest"});
    let envoy = rig(&backends, instances, cost).await;
    let sent = ask_many(&envoy, 200, 16).await;
    assert_eq!(sent.failures(), 0, "{:?}", sent.first_failure());
    let paid = spent(&envoy).await;
    assert!(paid > 2_000, "{paid}");
    let [cheap, dear] = [&backends[0], &backends[1]].map(|backend| backend.counters().prompts);
    assert!(dear <= 20 && cheap >= 180, "{cheap} {dear}");
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_over_its_own_budget_is_left_out_and_others_serve() {
    let backends = [backend("alpha").await, backend("beta").await];
    let instances = json!({"alpha": {"cost_per_1k_tokens": PRICE, "daily_budget_usd": 2}, "beta": {}});
    let envoy = rig(&backends, instances, json!({})).await;
    let sent = ask_many(&envoy, 300, 16).await;
    assert_eq!(sent.failures(), 0, "{:?}", sent.first_failure());
    let alpha = backends[0].counters().prompts;
    assert!(alpha * COST <= 2_000, "{alpha}");
    spent(&envoy).await;
    let own = &budget(&envoy).await["backends"][0];
    assert_eq!((&own["id"], thousandths(&own["day"]["spent_usd"])), (&json!("alpha"), alpha * COST));
    let body = question(chat("")).to_string();
    let request = Client::request(&hyper::Method::POST, &envoy.control_url("/explain"), &[], body);
    let explained = Client::new().send(request).await.unwrap().json();
    let excluded = &explained["backends"][0]["excluded"];
    assert_eq!(excluded["by"], "budget", "{excluded}");
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_are_kept_apart() {
    let backends = [backend("alpha").await];
    let tenants = json!({"ann": {"daily_budget_usd": 0.5}, "bob": {"max_requests_per_minute": 7}});
    let cost = json!({"tenant_header": "x-user", "tenants": tenants});
    let envoy = rig(&backends, json!({"alpha": {"cost_per_1k_tokens": PRICE}}), cost).await;
    let mut answers: BTreeMap<(&str, u16, String), usize> = BTreeMap::new();
    for tenant in ["ann", "bob", "eve"] {
        for _ in 0..12 {
            let reply = ask(&envoy, &[("x-user", tenant)]).await;
            let (status, code) = code(&reply);
            *answers.entry((tenant, status, code)).or_default() += 1;
            if status == 429 {
                assert!(reply.header("retry-after").is_some());
            }
        }
    }
    let count = |tenant, status, code: &str| answers.get(&(tenant, status, code.to_owned())).copied().unwrap_or(0);
    // Half a dollar is four requests and a bit.
    assert_eq!((count("ann", 200, ""), count("ann", 429, "budget_exceeded")), (4, 8), "{answers:?}");
    assert_eq!((count("bob", 200, ""), count("bob", 429, "rate_limited")), (7, 5), "{answers:?}");
    assert_eq!(count("eve", 200, ""), 12, "{answers:?}");
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_is_held_over_all_workers() {
    let backends = [backend("alpha").await, backend("beta").await];
    let instances = json!({"alpha": {"max_requests_per_minute": 600}, "beta": {"priority": 2}});
    let envoy = rig(&backends, instances, json!({"tenants": {"default": {"max_requests_per_minute": 900}}})).await;
    let started = Instant::now();
    let mut served = 0;
    let mut refused = 0;
    // Ten seconds, however fast the machine is: as long as no minute has passed, no more than a minute's go through.
    while started.elapsed() < Duration::from_secs(10) || served + refused < 1_200 {
        let sent = ask_many(&envoy, 150, 32).await;
        assert!(sent.by_status().keys().all(|status| [200, 429].contains(status)));
        served += sent.by_status().get(&200).copied().unwrap_or(0);
        refused += sent.by_status().get(&429).copied().unwrap_or(0);
    }
    assert!(refused > 0);
    if started.elapsed() < Duration::from_secs(60) {
        assert_eq!((served, backends[0].counters().prompts), (900, 600), "{:?}", started.elapsed());
    }
    let last = ask(&envoy, &[]).await;
    assert_eq!(code(&last), (429, "rate_limited".to_owned()));
    let wait: u64 = last.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    settled(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_vm_traps_loses_no_money_and_leaks_none() {
    clear_of_midnight().await;
    let backends = [backend("alpha").await];
    backends[0].set(Behaviour { latency_ms: 2_500, ..plain() });
    let limit = 200 * COST;
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("trapping.wasm");
    let module = std::fs::read(envoy::module().unwrap()).unwrap();
    std::fs::write(&path, trapping(&module, TRAP).unwrap()).unwrap();
    let router = json!({"retry": {"max_attempts": 1}, "backend_instances": {"alpha": {"cost_per_1k_tokens": PRICE}},
        "cost": {"daily_budget_usd": limit as f64 / 1e3}});
    let builder = Envoy::builder().concurrency(4).backends(&backends).route(Route::ClusterHeader).router(router);
    let envoy = builder.control().module(path).start().await;
    let url = envoy.url(PATH);
    let under_way = tokio::spawn(async move {
        let body = question(chat(""));
        load(&Client::new(), 40, 40, |_| Client::json_request(&url, &body)).await
    });
    until("all are under way", || async { backends[0].counters().in_flight == 40 }).await;
    // Two connections, so that hardly ever none of them meets a worker with requests under way.
    for _ in 0..2 {
        trap(&envoy).await;
    }
    let sent = under_way.await.unwrap();
    let served = sent.by_status().get(&200).copied().unwrap_or(0) as u64;
    backends[0].set(plain());
    // The others believe that it is dead after fifteen seconds.
    let started = Instant::now();
    while budget(&envoy).await["overall"]["reserved_usd"] != 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "{}", budget(&envoy).await);
        sleep(Duration::from_millis(100)).await;
    }
    let by_first = spent(&envoy).await;
    let lost = 40 - served;
    // What was reserved for each is all of it that could be known: a quarter more than its prompt may be.
    let dearest = PROMPT * 5 / 4 + PROMPT / 5 + 16;
    let range = served * COST + lost * (COST - 10)..=served * COST + lost * dearest;
    assert!(range.contains(&by_first), "{by_first} for {served} and {lost}: {range:?}");
    use_up(&envoy).await;
    assert_used_up(spent(&envoy).await, limit);
    let reloads: u64 = envoy.stats().await.matching(&["wasm.", "vm_reload_success"]).map(|(_, value)| value).sum();
    assert!(reloads > 0, "no VM was made anew; {lost} requests lost");
}

/// Prices of a small model. Fourteen slow streams wish for as much as a budget has, and a little less, and less; then
/// three requests for many answers at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_wish_for_keeps_no_budget_from_others() {
    const WISHES: [(u64, u64); 14] = [
        (900_000, 1),
        (40_000, 1),
        (8_000, 1),
        (3_000, 1),
        (1_000, 1),
        (400, 1),
        (200, 1),
        (100, 1),
        (60, 1),
        (30, 1),
        (10, 1),
        (5, 1),
        (5, 1),
        (5, 1),
    ];
    let backends = [backend("alpha").await];
    for (learned, wishes) in [(0, &WISHES[..]), (10, &WISHES), (0, &[(7_000, 128); 3]), (10, &[(7_000, 128); 3])] {
        let instances = json!({"alpha": {"input_cost_per_1k_tokens": 0.001, "output_cost_per_1k_tokens": 0.0105}});
        let envoy = rig(&backends, instances, json!({"hourly_budget_usd": 10, "pacing": false})).await;
        for _ in 0..learned {
            assert_eq!(ask(&envoy, &[]).await.status, 200);
        }
        backends[0].set(Behaviour { output_tokens: 600, inter_token_ms: 300, ..plain() });
        let mut streams = Vec::new();
        for &(most, answers) in wishes {
            let mut body = streamed_chat("");
            (body["max_tokens"], body["n"]) = (most.into(), answers.into());
            let stream = Client::new().open(Client::json_request(&envoy.url(PATH), &body)).await.unwrap();
            assert!(stream.status == 200 || most * answers > 800_000, "{} for {most}", stream.status);
            streams.push(stream);
        }
        backends[0].set(plain());
        for n in 0..12 {
            let mut body = question(chat(""));
            body["max_tokens"] = [16, 60_000][n % 2].into();
            let reply = Client::new().post_json(&envoy.url(PATH), &body).await.unwrap();
            assert_eq!(reply.status, 200, "{n} after {learned} beside {wishes:?}: {}", reply.text());
        }
        for stream in streams {
            stream.cut();
        }
        assert!(spent(&envoy).await < 1_000, "next to nothing of ten dollars");
        settled(&envoy).await;
    }
}
