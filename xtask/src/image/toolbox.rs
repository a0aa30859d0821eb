//! The plain caller: busybox and curl, as a user's own pod would have them, and the tests' load.

use super::archive::{Context, DOCKERFILE};
use crate::{command::command, install, interrupt::Interrupt};
use anyhow::{Context as _, ensure};
use std::path::Path;

/// Applets that tests and people type. The shell is what `kubectl exec` starts.
const APPLETS: [&str; 16] = [
    "sh", "cat", "echo", "env", "grep", "hostname", "ip", "ls", "nc", "nslookup", "ps", "seq", "sleep", "tail", "top",
    "wget",
];

/// A shell that is process 1 gets no signal it does not ask for; without the trap each pod would take half a minute to end.
const FILE: &str = r#"FROM scratch
COPY root /
ENV PATH=/bin
USER 65532:65532
CMD ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait"]
"#;

pub(super) fn fill(context: &Context, load: &Path, interrupt: &Interrupt) -> anyhow::Result<()> {
    let found = |program: &str| install::find(program).with_context(|| format!("{program} is not installed"));
    context.copy(&found("busybox")?, "root/bin/busybox")?;
    for applet in APPLETS {
        context.link("busybox", &format!("root/bin/{applet}"))?;
    }
    context.strip(load, "root/bin/load", interrupt)?;
    let curl = found("curl")?;
    for library in libraries(&curl)? {
        context.copy(Path::new(&library), &format!("root{library}"))?;
    }
    context.copy(&curl, "root/bin/curl")?;
    context.write(DOCKERFILE, FILE)
}

/// What the dynamic loader would load for `program`, itself among it.
fn libraries(program: &Path) -> anyhow::Result<Vec<String>> {
    let output = command("ldd", [program]).output().context("run ldd")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "ldd {} failed: {said}", program.display());
    Ok(paths(&said))
}

/// The absolute paths in `ldd`'s lines: `name => /path (address)`, and `/path (address)` for the loader.
fn paths(said: &str) -> Vec<String> {
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    said.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::paths;

    #[test]
    fn libraries_and_the_loader_are_found_and_the_kernel_s_own_is_not() {
        let said = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibcurl.so.4 => /lib/x86_64-linux-gnu/libcurl.so.4 (0x7f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        assert_eq!(paths(said), ["/lib/x86_64-linux-gnu/libcurl.so.4", "/lib64/ld-linux-x86-64.so.2"]);
    }
}
