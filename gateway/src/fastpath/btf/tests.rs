//! Types put together by hand, and broken ones.

use super::*;

/// Appends one type: its name's offset, kind, number of members, size or type, and what follows.
fn push(types: &mut Vec<u8>, name: u32, kind: u32, members: u32, size: u32, rest: &[u32]) {
    for number in [name, kind << 24 | members, size].iter().chain(rest) {
        types.extend(number.to_ne_bytes());
    }
}

fn btf(types: &[u8], strings: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_ne_bytes().to_vec();
    bytes.extend([1, 0]);
    let (types_length, strings_length) = (u32::try_from(types.len()), u32::try_from(strings.len()));
    let (types_length, strings_length) = (types_length.expect("short"), strings_length.expect("short"));
    for number in [24, 0, types_length, types_length, strings_length] {
        bytes.extend(u32::to_ne_bytes(number));
    }
    bytes.extend(types);
    bytes.extend(strings);
    bytes
}

#[test]
fn members_of_unnamed_members_are_found_behind_typedefs() {
    // int; struct { int a; int b; }; typedef of it; struct outer { int x; <unnamed> typedef; }
    let strings = b"\0outer\0a\0b\0x\0int\0";
    let mut types = Vec::new();
    push(&mut types, 13, 1, 0, 4, &[32]); // 1
    push(&mut types, 0, 4, 2, 8, &[7, 1, 0, 9, 1, 32]); // 2
    push(&mut types, 0, 8, 0, 2, &[]); // 3
    push(&mut types, 1, 4, 2, 12, &[11, 1, 0, 0, 3, 32]); // 4
    let bytes = btf(&types, strings);
    let btf = Btf::parse(&bytes).expect("well formed");
    assert_eq!(btf.offset("outer", &["x"]), Some(0));
    assert_eq!(btf.offset("outer", &["b"]), Some(8));
    assert_eq!(btf.offset("outer", &["c"]), None);
    assert_eq!(btf.offset("inner", &["a"]), None);
}

#[test]
fn broken_data_is_refused() {
    assert!(Btf::parse(b"").is_none());
    assert!(Btf::parse(&[0; 64]).is_none());
    let good = btf(&[0; 12], b"\0");
    for length in 0..good.len() {
        assert!(Btf::parse(&good[..length]).is_none(), "cut to {length}");
    }
}
