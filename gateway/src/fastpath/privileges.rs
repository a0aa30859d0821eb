//! Whether this process may load programs, asked before the kernel is: an EPERM alone does not say what is missing.

use super::Unavailable;
use std::{fs, path::Path};

/// The kernel's own type information, which the guard of the short-circuit resolves offsets from.
const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

// include/uapi/linux/capability.h
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: u32 = 39;

/// # Errors
/// Names the missing capabilities or the missing BTF.
pub(super) fn check() -> Result<(), Unavailable> {
    // Without /proc nothing is known here, and the kernel's own answer decides.
    if let Some(effective) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(effective_capabilities) {
        let missing = missing_capabilities(effective);
        if !missing.is_empty() {
            return Err(Unavailable::MissingCapabilities { missing: missing.join(" and ") });
        }
    }
    if Path::new(KERNEL_BTF).exists() { Ok(()) } else { Err(Unavailable::NoBtf { path: KERNEL_BTF }) }
}

/// The `CapEff` line of proc_pid_status(5): a hexadecimal mask.
fn effective_capabilities(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// CAP_SYS_ADMIN implies both (capabilities(7)).
fn missing_capabilities(effective: u64) -> Vec<&'static str> {
    let has = |capability: u32| effective & (1 << capability) != 0;
    [(CAP_BPF, "CAP_BPF"), (CAP_NET_ADMIN, "CAP_NET_ADMIN")]
        .into_iter()
        .filter(|(capability, _)| !has(*capability) && !has(CAP_SYS_ADMIN))
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_user_lacks_both() {
        let status = "Name:\tgateway\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\n";
        assert_eq!(effective_capabilities(status), Some(0));
        assert_eq!(missing_capabilities(0), ["CAP_BPF", "CAP_NET_ADMIN"]);
    }

    #[test]
    fn each_capability_is_looked_at_alone() {
        assert_eq!(missing_capabilities(1 << CAP_BPF), ["CAP_NET_ADMIN"]);
        assert_eq!(missing_capabilities(1 << CAP_NET_ADMIN), ["CAP_BPF"]);
        assert!(missing_capabilities(1 << CAP_BPF | 1 << CAP_NET_ADMIN).is_empty());
        assert!(missing_capabilities(1 << CAP_SYS_ADMIN).is_empty());
    }

    #[test]
    fn a_status_without_the_line_says_nothing() {
        assert_eq!(effective_capabilities("Name:\tgateway\n"), None);
    }
}
