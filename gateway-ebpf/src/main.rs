//! The BPF object: the programs the daemon loads into the kernel.
//!
//! Built by `cargo xtask build-ebpf`, for the BPF target only; see docs/building.md.
#![no_std]
#![no_main]

mod clock;
mod guard;
mod maps;
mod prog {
    //! One file per program.
    pub(crate) mod msg;
    pub(crate) mod queue;
    pub(crate) mod sockops;
}
mod sock;

/// The kernel gives every helper only to programs under a licence it accepts.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the loader finds the licence by the name of its section")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses an object in which this can be reached.
    loop {}
}
