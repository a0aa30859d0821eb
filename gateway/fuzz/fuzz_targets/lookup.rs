//! Any world, edited step by step: the index answers as the linear oracle.
#![no_main]

use gateway::routing::compiler::Compiler;
use gateway_fuzz::{
    check_against_oracle,
    worlds::{self, Choices},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices(bytes);
    let mut compiler = Compiler::new(worlds::settings());
    for change in worlds::changes(&mut choices, 12) {
        compiler.apply(change);
    }
    let snapshot = compiler.snapshot();
    for _ in 0..8 {
        let request = worlds::request(&mut choices);
        check_against_oracle(&snapshot, &request.head());
    }
});
