//! What every pair has tried and how it went, as a table.

use crate::backends::Backend;
use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

/// Of one run.
#[derive(Default)]
pub(crate) struct Outcomes {
    /// By client and backend: how often what was tried went well.
    good: BTreeMap<(String, String), usize>,
    /// In the order of the rows of the table.
    clients: Vec<String>,
    failures: Vec<String>,
}

impl Outcomes {
    /// Takes in what a client has said: a line for each try, with the backend, what it was, and how it went. Each of
    /// `expected` must be there, for each of `backends`.
    pub(crate) fn add(&mut self, client: &str, said: &str, backends: &[Backend], expected: &[String]) {
        self.clients.push(client.to_owned());
        let mut results = BTreeMap::new();
        for line in said.lines() {
            if let [backend, what, result] = line.splitn(3, '\t').collect::<Vec<_>>()[..] {
                results.insert((backend, what), result);
            }
        }
        for backend in backends {
            for what in expected {
                match results.get(&(backend.name, what.as_str())) {
                    Some(&"ok") => {
                        *self.good.entry((client.to_owned(), backend.name.to_owned())).or_default() += 1;
                    }
                    Some(wrong) => self.failures.push(format!("{client} × {}, {what}: {wrong}", backend.name)),
                    None => self.failures.push(format!("{client} × {}, {what}: not tried", backend.name)),
                }
            }
        }
    }

    /// Prints the table.
    ///
    /// # Panics
    /// When anything has failed.
    pub(crate) fn conclude(&self, title: &str, backends: &[Backend]) {
        let mut table = format!("{title}\n{:<18}", "");
        for backend in backends {
            table += &format!(" {:>10}", backend.name);
        }
        for client in &self.clients {
            table += &format!("\n{client:<18}");
            for backend in backends {
                let key = (client.clone(), backend.name.to_owned());
                let of_pair = format!("{client} × {},", backend.name);
                let failed = self.failures.iter().filter(|failure| failure.starts_with(&of_pair)).count();
                let good = self.good.get(&key).copied().unwrap_or_default();
                let cell = match (good, failed) {
                    (0, 0) => "–".to_owned(),
                    (good, 0) => format!("✓ {good}"),
                    (_, failed) => format!("✗ {failed}"),
                };
                table += &format!(" {cell:>10}");
            }
        }
        // Past the test runner, which keeps what is printed to itself.
        let _ = writeln!(io::stderr(), "{table}\n{} tries went well", self.good.values().sum::<usize>());
        assert!(self.failures.is_empty(), "{} tries failed:\n{}", self.failures.len(), self.failures.join("\n"));
    }
}
