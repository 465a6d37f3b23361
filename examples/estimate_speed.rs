//! How fast the estimate is: `cargo run --release --example estimate_speed`.

#[cfg(not(target_family = "wasm"))]
#[expect(clippy::disallowed_methods, reason = "a benchmark needs a clock")]
#[expect(clippy::print_stdout, reason = "its figures are its output")]
fn main() -> std::io::Result<()> {
    use llm_router::domain::TextSink;
    use llm_router::tokens::Counter;
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    for kind in ["english", "code", "json", "logs", "base64", "languages"] {
        let mut text = String::new();
        for file in std::fs::read_dir(format!("corpus/held-out/{kind}"))? {
            text += &std::fs::read_to_string(file?.path())?;
        }
        let pieces: Vec<String> = text.chars().collect::<Vec<_>>().chunks(8_192).map(String::from_iter).collect();
        let best = (0..40)
            .map(|_| {
                let begin = Instant::now();
                let mut counter = Counter::default();
                // Texts that are short enough to be read whole: of long ones only windows are.
                for piece in &pieces {
                    counter.push(black_box(piece));
                }
                black_box(counter.tokens());
                begin.elapsed()
            })
            .min()
            .unwrap_or(Duration::MAX);
        println!("{kind:10} {:5.0} MB/s over {} kB", text.len() as f64 / best.as_secs_f64() / 1e6, text.len() / 1000);
    }
    Ok(())
}

#[cfg(target_family = "wasm")]
fn main() {}
