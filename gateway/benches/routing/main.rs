//! What a lookup, a draw, a compilation and an edit cost, as JSON. `cargo run --release -p gateway-bench`, and part of
//! `cargo xtask bench`.

#![allow(clippy::expect_used, reason = "a benchmark ends when its own input is wrong")]
#![allow(clippy::print_stdout, reason = "its output is its result")]

mod allocations;
mod compilation;
mod draws;
mod lookups;
mod timing;
mod world;

use std::env;

/// Without arguments, or with `--quick`, everything; `--lookups N` does N lookups and no more, for callgrind.
fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, number] = &arguments[..]
        && flag == "--lookups"
    {
        return lookups::only(number.parse().expect("a number of lookups"));
    }
    let effort = if arguments.iter().any(|argument| argument == "--quick") { 5 } else { 40 };
    let mut figures = serde_json::Map::new();
    for part in [lookups::figures, draws::figures, compilation::figures] {
        figures.extend(part(effort).into_iter().map(|(name, value)| (name.to_owned(), value.into())));
    }
    println!("{}", serde_json::Value::Object(figures));
}
