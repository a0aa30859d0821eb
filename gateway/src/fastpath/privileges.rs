//! Whether this process may load programs, asked before the kernel is: an EPERM alone does not say what is missing.

use super::Unavailable;
use std::{fs, io};

// include/uapi/linux/capability.h
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// kernel_lockdown(7): the mode in force is the word in brackets. Not there where securityfs is not mounted; then the
/// verifier's refusal of the helper says it.
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// # Errors
/// Names the missing capabilities, or what makes them worthless.
pub(super) fn check() -> Result<(), Unavailable> {
    // Without /proc nothing is known here, and the kernel's own answer decides.
    if let Some(effective) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(effective_capabilities) {
        let missing = missing_capabilities(effective);
        if !missing.is_empty() {
            return Err(Unavailable::MissingCapabilities { missing: missing.join(" and ") });
        }
    }
    if fs::read_to_string(LOCKDOWN).is_ok_and(|modes| modes.contains("[confidentiality]")) {
        return Err(Unavailable::LockedDown);
    }
    Ok(())
}

/// Gives up, for this thread and those it starts, what only loading needs: from Linux 5.19 on whoever holds a map or a
/// program may use it. Returns whether anything was given up.
///
/// # Errors
/// The kernel's.
pub(super) fn give_up() -> io::Result<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if version(&release).is_none_or(|version| version < (5, 19)) {
        return Ok(false);
    }
    let mut capabilities = Capabilities::of_this_thread()?;
    for capability in [CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN] {
        capabilities.remove(capability);
    }
    capabilities.set()?;
    Ok(true)
}

/// `6.18.44-fc` is (6, 18).
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// `struct __user_cap_header_struct` and two of `struct __user_cap_data_struct` of linux/capability.h.
#[repr(C)]
struct Capabilities {
    header: [u32; 2],
    /// Effective, permitted and inheritable, of capabilities 0 to 31 and then 32 to 63.
    sets: [[u32; 3]; 2],
}

impl Capabilities {
    /// `_LINUX_CAPABILITY_VERSION_3`
    const VERSION: u32 = 0x2008_0522;

    #[expect(unsafe_code, reason = "libc has no function for it")]
    fn of_this_thread() -> io::Result<Self> {
        let mut this = Self { header: [Self::VERSION, 0], sets: [[0; 3]; 2] };
        let (header, sets) = (this.header.as_mut_ptr(), this.sets.as_mut_ptr());
        // SAFETY: the kernel writes as much as version 3 says, and that is what the struct holds.
        let answer = unsafe { libc::syscall(libc::SYS_capget, header, sets) };
        if answer == 0 { Ok(this) } else { Err(io::Error::last_os_error()) }
    }

    fn remove(&mut self, capability: u32) {
        for set in &mut self.sets[(capability / 32) as usize] {
            *set &= !(1 << (capability % 32));
        }
    }

    #[expect(unsafe_code, reason = "libc has no function for it")]
    fn set(&self) -> io::Result<()> {
        // SAFETY: the kernel reads as much as version 3 says, and that is what the struct holds.
        let answer = unsafe { libc::syscall(libc::SYS_capset, self.header.as_ptr(), self.sets.as_ptr()) };
        if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
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
    fn kernels_are_compared_as_numbers() {
        assert_eq!(version("6.18.44-fc-v669\n"), Some((6, 18)));
        assert_eq!(version("5.4+"), Some((5, 4)));
        assert_eq!(version(""), None);
    }

    #[test]
    fn a_status_without_the_line_says_nothing() {
        assert_eq!(effective_capabilities("Name:\tgateway\n"), None);
    }
}
