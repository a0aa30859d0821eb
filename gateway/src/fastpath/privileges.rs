//! Whether this process may load programs, asked before the kernel is: an EPERM alone does not say what is missing.

use super::Unavailable;
use std::fs;

// include/uapi/linux/capability.h
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// # Errors
/// Names the missing capabilities.
pub(super) fn check() -> Result<(), Unavailable> {
    // Without /proc nothing is known here, and the kernel's own answer decides.
    if let Some(effective) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(effective_capabilities) {
        let missing = missing_capabilities(effective);
        if !missing.is_empty() {
            return Err(Unavailable::MissingCapabilities { missing: missing.join(" and ") });
        }
    }
    Ok(())
}

/// The `CapEff` line of proc_pid_status(5): a hexadecimal mask.
fn effective_capabilities(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// CAP_SYS_ADMIN implies CAP_BPF and CAP_PERFMON (capabilities(7)).
fn missing_capabilities(effective: u64) -> Vec<&'static str> {
    let has = |capability: u32| effective & (1 << capability) != 0;
    let implied = has(CAP_SYS_ADMIN);
    [(CAP_BPF, "CAP_BPF", implied), (CAP_NET_ADMIN, "CAP_NET_ADMIN", false), (CAP_PERFMON, "CAP_PERFMON", implied)]
        .into_iter()
        .filter(|(capability, _, implied)| !has(*capability) && !implied)
        .map(|(_, name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_user_lacks_all() {
        let status = "Name:\tgateway\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\n";
        assert_eq!(effective_capabilities(status), Some(0));
        assert_eq!(missing_capabilities(0), ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
    }

    #[test]
    fn each_capability_is_looked_at_alone() {
        let all = 1 << CAP_BPF | 1 << CAP_NET_ADMIN | 1 << CAP_PERFMON;
        assert_eq!(missing_capabilities(all & !(1 << CAP_BPF)), ["CAP_BPF"]);
        assert_eq!(missing_capabilities(all & !(1 << CAP_NET_ADMIN)), ["CAP_NET_ADMIN"]);
        assert_eq!(missing_capabilities(all & !(1 << CAP_PERFMON)), ["CAP_PERFMON"]);
        assert!(missing_capabilities(all).is_empty());
        assert_eq!(missing_capabilities(1 << CAP_SYS_ADMIN), ["CAP_NET_ADMIN"]);
    }

    #[test]
    fn a_status_without_the_line_says_nothing() {
        assert_eq!(effective_capabilities("Name:\tgateway\n"), None);
    }
}
