//! Compiling a table from nothing, and after one edit.

use crate::{
    timing::median,
    world::{prefix, resources, virtual_service, world},
};
use gateway::{
    model::resource::Resource,
    routing::compiler::{Change, CompileSettings, Compiler, compile},
};

/// Milliseconds.
pub(crate) fn figures(effort: usize) -> Vec<(&'static str, f64)> {
    let (hosts, prefixes) = (world(0, 10_000), world(10_000, 0));
    let full = |resources: &Vec<Resource>| {
        1e3 * median(effort, || resources.clone(), |resources| compile(resources, CompileSettings::default()))
    };
    let (full_hosts, full_prefixes) = (full(&hosts), full(&prefixes));
    let edit_host = edit(effort, hosts, |weight| {
        let mut yaml = String::new();
        virtual_service(&mut yaml, "h77", "h77.example.com", ["/".to_owned()].into_iter(), weight);
        yaml
    });
    let edit_prefix = edit(effort, prefixes, |weight| {
        let mut yaml = String::new();
        virtual_service(&mut yaml, "v7", "big.example.com", (700..800).map(|n| format!("{}{weight}/", prefix(n))), 50);
        yaml
    });
    vec![
        ("full_hosts_ms", full_hosts),
        ("full_prefixes_ms", full_prefixes),
        ("edit_host_ms", edit_host),
        ("edit_prefix_ms", edit_prefix),
    ]
}

/// Applies two versions of an object in turn, and compiles after each.
fn edit(effort: usize, world: Vec<Resource>, version: impl Fn(u32) -> String) -> f64 {
    let mut compiler = Compiler::new(CompileSettings::default());
    for resource in world {
        compiler.apply(Change::Put(resource));
    }
    compiler.snapshot();
    let versions = [version(10), version(20)].map(|yaml| resources(&yaml).remove(0));
    let mut turn = 0;
    let next = || {
        turn += 1;
        versions[turn % 2].clone()
    };
    1e3 * median(effort * 3, next, |resource| {
        compiler.apply(Change::Put(resource));
        compiler.snapshot()
    })
}
