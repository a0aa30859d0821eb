//! `image`: container images without a registry, as archives that `docker load` and containerd's `ctr images import` take.

mod archive;
mod binary;
mod toolbox;

use crate::{
    build_ebpf, command,
    install::{self, Tool},
    interrupt::Interrupt,
    output::step,
    workspace,
};
use anyhow::{Context as _, ensure};
use archive::Archive;
use std::path::{Path, PathBuf};

pub(crate) use binary::{Profile, statically};

/// Builds the gateway's container image: one static binary, no shell, no library.
///
/// Prints the archive, its size and the image's digest. Installs, where it is missing: buildah, and what build-ebpf
/// needs; for the tests' images curl and busybox-static too.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How the binary is optimised: release as shipped, quick as tested.
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// Where the archive goes.
    #[arg(long, value_name = "FILE", default_value_os_t = archive_path("node-gateway"))]
    output: PathBuf,
    /// What the image is called.
    #[arg(long, value_name = "NAME", default_value = GATEWAY)]
    name: String,
    /// The images that the tests' pods run instead: reviews, echo, toolbox.
    #[arg(long, conflicts_with_all = ["output", "name"])]
    test_images: bool,
}

/// The name under which the local overlay expects the gateway.
pub(crate) const GATEWAY: &str = "localhost/node-gateway:dev";

/// Every node pulls it before its first request: small is a feature.
const MOST_PULLED: u64 = 12 << 20;

pub(crate) fn run(arguments: &Arguments, interrupt: &Interrupt) -> anyhow::Result<()> {
    let archives = if arguments.test_images {
        test_images(arguments.profile, interrupt)?
    } else {
        vec![gateway(arguments.profile, &arguments.name, &arguments.output, interrupt)?]
    };
    for archive in archives {
        println!("{archive}");
    }
    Ok(())
}

/// The gateway's image, written to `output`.
pub(crate) fn gateway(profile: Profile, name: &str, output: &Path, interrupt: &Interrupt) -> anyhow::Result<Archive> {
    prepare(&[], interrupt)?;
    step("kernel half", |_| {
        // A plain user may lack what compiles it; the image is worth having without, as the daemon is.
        Ok(match build_ebpf::build(interrupt) {
            Ok(_) => "embedded".to_owned(),
            Err(error) => format!("left out: {error:#}"),
        })
    })?;
    let daemon = daemon(&workspace::root(), profile, interrupt)?;
    let dockerfile = workspace::root().join("deploy/Dockerfile.prebuilt");
    let archive = pack(name, output, interrupt, |context| {
        context.strip(&daemon, "gateway", interrupt)?;
        context.copy(&dockerfile, archive::DOCKERFILE)
    })?;
    // Only what is shipped is held to it.
    ensure!(
        profile != Profile::Release || archive.pulled <= MOST_PULLED,
        "a node would have to pull {} bytes of {name}, and may have to pull {MOST_PULLED}",
        archive.pulled
    );
    Ok(archive)
}

/// The daemon of `checkout` as it is in the image.
pub(crate) fn daemon(checkout: &Path, profile: Profile, interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    daemon_and(None, checkout, profile, interrupt)
}

/// The daemon of `checkout`, and with it what `another` package of it has: the linker optimises each program on one CPU, and
/// two of them side by side.
pub(crate) fn daemon_and(
    another: Option<(&str, &str)>,
    checkout: &Path,
    profile: Profile,
    interrupt: &Interrupt,
) -> anyhow::Result<PathBuf> {
    let (packages, binaries): (Vec<&str>, Vec<&str>) = another.into_iter().chain([("gateway", "gateway")]).unzip();
    let mut built = Vec::new();
    step("daemon", |bar| {
        built = binary::build(checkout, profile, &packages, &binaries, interrupt, bar)?;
        Ok(format!("static, profile {}", profile.name()))
    })?;
    built.pop().context("cargo has built nothing")
}

/// The images of the pods in tests, written below target/image.
pub(crate) fn test_images(profile: Profile, interrupt: &Interrupt) -> anyhow::Result<Vec<Archive>> {
    let tool = |program, package| Tool { program, package };
    prepare(&[tool("curl", "curl"), tool("busybox", "busybox-static")], interrupt)?;
    let built = test_pods(profile, interrupt)?;
    let mut archives = Vec::new();
    for (name, binary) in ONE_BINARY.into_iter().zip(&built) {
        archives.push(one_binary(name, binary, interrupt)?);
    }
    let load = &built[ONE_BINARY.len()];
    archives.push(pack("localhost/toolbox:dev", &archive_path("toolbox"), interrupt, |context| {
        toolbox::fill(context, load, interrupt)
    })?);
    Ok(archives)
}

/// The programs of the tests' pods: those of [`ONE_BINARY`], then [`LOAD`].
pub(crate) fn test_pods(profile: Profile, interrupt: &Interrupt) -> anyhow::Result<Vec<PathBuf>> {
    let names: Vec<&str> = ONE_BINARY.into_iter().chain([LOAD]).collect();
    let mut built = Vec::new();
    step("test pods", |bar| {
        built = binary::build(&workspace::root(), profile, &["gateway-tests"], &names, interrupt, bar)?;
        Ok(names.join(", "))
    })?;
    Ok(built)
}

/// Programs of tests/ that are a pod's only one, each in the image `localhost/<name>:dev`.
const ONE_BINARY: [&str; 2] = ["reviews", "echo"];

/// The client that goes on while a test changes something; in the toolbox.
const LOAD: &str = "load";

/// An image `localhost/<name>:dev` with `binary` as its entry point.
pub(crate) fn one_binary(name: &str, binary: &Path, interrupt: &Interrupt) -> anyhow::Result<Archive> {
    let dockerfile = format!("FROM scratch\nCOPY {name} /{name}\nUSER 65532:65532\nENTRYPOINT [\"/{name}\"]\n");
    pack(&format!("localhost/{name}:dev"), &archive_path(name), interrupt, |context| {
        context.strip(binary, name, interrupt)?;
        context.write(archive::DOCKERFILE, &dockerfile)
    })
}

/// Where the archive of the image `localhost/<name>:dev` is.
pub(crate) fn archive_path(name: &str) -> PathBuf {
    workspace::target().join("image").join(format!("{name}.tar"))
}

fn pack(
    name: &str,
    output: &Path,
    interrupt: &Interrupt,
    fill: impl FnOnce(&archive::Context) -> anyhow::Result<()>,
) -> anyhow::Result<Archive> {
    let mut packed = None;
    step("image", |_| {
        let archive = archive::build(name, output, interrupt, fill)?;
        let said = name.to_owned();
        packed = Some(archive);
        Ok(said)
    })?;
    packed.ok_or_else(|| anyhow::anyhow!("{name} was not built"))
}

fn prepare(tools: &[Tool], interrupt: &Interrupt) -> anyhow::Result<()> {
    let always = [Tool { program: "buildah", package: "buildah" }, Tool { program: "strip", package: "binutils" }];
    install::tools(&[&always, tools].concat(), interrupt)?;
    let version = command::output(&mut command::command("buildah", ["--version"]), interrupt)?;
    ensure!(version.starts_with("buildah"), "buildah does not work: {version}");
    Ok(())
}
