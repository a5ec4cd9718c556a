//! Reads the list of VFs in the kernel's description of a PF.

use linkspan_types::{LinkState, MacAddr, Rates, VlanId, VlanPriority, VlanProtocol, VlanTag};
use netlink_packet_core::{NLA_ALIGNTO, NLA_HEADER_SIZE, NlaBuffer, NlasIterator};

use super::VfSettings;

// Attribute types of `linux/if_link.h`.
const IFLA_NUM_VF: u16 = 21;
const IFLA_VFINFO_LIST: u16 = 22;
const IFLA_VF_MAC: u16 = 1;
const IFLA_VF_VLAN: u16 = 2;
const IFLA_VF_SPOOFCHK: u16 = 4;
const IFLA_VF_LINK_STATE: u16 = 5;
const IFLA_VF_RATE: u16 = 6;
const IFLA_VF_TRUST: u16 = 9;
const IFLA_VF_VLAN_LIST: u16 = 12;
const LINK_HEADER: usize = 16;

/// Reads the VF list of an `RTM_NEWLINK` message, each entry by `parse`.
///
/// The list is one attribute, and an attribute's length has 16 bits: from about 200 VFs on it has wrapped
/// around, and a reader that believes it loses most of the list, or reads its middle as other attributes.
/// All entries are there, though, and their number stands before them (`IFLA_NUM_VF`): they are read by
/// that number, and the length is not looked at.
pub(super) fn parse_list<T>(
    message: &[u8],
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<Vec<T>, String> {
    let mut rest = message.get(LINK_HEADER..).ok_or("a short link message")?;
    let mut count = 0;
    while !rest.is_empty() {
        let kind = NlaBuffer::new(rest.get(..NLA_HEADER_SIZE).ok_or("a short attribute")?).kind();
        if kind == IFLA_VFINFO_LIST {
            return parse_entries(&rest[NLA_HEADER_SIZE..], count, parse);
        }
        let (value, after) = split_attribute(rest)?;
        if kind == IFLA_NUM_VF {
            count = u32_at(value, 0).ok_or("a short VF count")? as usize;
        }
        rest = after;
    }
    Ok(Vec::new())
}

fn parse_entries<T>(
    mut rest: &[u8],
    count: usize,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<Vec<T>, String> {
    let mut all = Vec::new();
    for vf in 0..count {
        let (entry, after) =
            split_attribute(rest).map_err(|e| format!("VF {vf} of {count}: {e}"))?;
        all.push(parse(entry).ok_or_else(|| format!("VF {vf} of {count}: a short attribute"))?);
        rest = after;
    }
    Ok(all)
}

/// The value of the first attribute, and what comes after it.
fn split_attribute(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let attribute = NlaBuffer::new_checked(bytes).map_err(|e| e.to_string())?;
    let length = usize::from(attribute.length());
    let after = bytes.get(length.next_multiple_of(NLA_ALIGNTO)..).unwrap_or_default();
    Ok((&bytes[NLA_HEADER_SIZE..length], after))
}

pub(super) fn parse_settings(entry: &[u8]) -> Option<VfSettings> {
    let mut settings = VfSettings::default();
    for attribute in NlasIterator::new(entry).map_while(Result::ok) {
        // Each value starts with the VF's number.
        let value = attribute.value();
        match attribute.kind() {
            IFLA_VF_MAC => settings.mac = MacAddr(value.get(4..10)?.try_into().ok()?),
            IFLA_VF_VLAN => {
                settings.vlan.id = vlan_id(u32_at(value, 4)?);
                settings.vlan.priority = vlan_priority(u32_at(value, 8)?);
            }
            IFLA_VF_VLAN_LIST => {
                let (first, _) = split_attribute(value).ok()?;
                settings.vlan = VlanTag {
                    id: vlan_id(u32_at(first, 4)?),
                    priority: vlan_priority(u32_at(first, 8)?),
                    protocol: match first.get(12..14)? {
                        [0x88, 0xa8] => VlanProtocol::Dot1Ad,
                        _ => VlanProtocol::Dot1Q,
                    },
                };
            }
            IFLA_VF_RATE => {
                settings.rates = Rates { min: u32_at(value, 4)?, max: u32_at(value, 8)? };
            }
            IFLA_VF_SPOOFCHK => settings.spoof_check = flag(u32_at(value, 4)?),
            IFLA_VF_TRUST => settings.trust = flag(u32_at(value, 4)?),
            IFLA_VF_LINK_STATE => {
                settings.link_state = match u32_at(value, 4)? {
                    1 => LinkState::Enable,
                    2 => LinkState::Disable,
                    _ => LinkState::Auto,
                };
            }
            _ => {}
        }
    }
    Some(settings)
}

/// The kernel answers -1 for a setting that the driver does not have.
fn flag(value: u32) -> Option<bool> {
    (value != u32::MAX).then_some(value != 0)
}

fn vlan_id(value: u32) -> VlanId {
    u16::try_from(value).ok().and_then(|id| VlanId::try_from(id).ok()).unwrap_or_default()
}

fn vlan_priority(value: u32) -> VlanPriority {
    u8::try_from(value).ok().and_then(|qos| VlanPriority::try_from(qos).ok()).unwrap_or_default()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        // As the kernel does it: a length of more than 16 bits loses the rest.
        let length = u16::try_from((value.len() + 4) & 0xffff).expect("16 bits");
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn values(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_ne_bytes()).collect()
    }

    fn entry(vf: u32) -> Vec<u8> {
        let mut mac = values(&[vf]);
        mac.extend([2, 0, 0, 0]);
        mac.extend(u16::try_from(vf).expect("few VFs").to_be_bytes());
        mac.extend([0; 26]);
        let mut tag = values(&[vf, 4094, 7]);
        tag.extend([0x88, 0xa8, 0, 0]);
        let all = [
            attribute(IFLA_VF_MAC, &mac),
            attribute(IFLA_VF_VLAN, &values(&[vf, 4094, 7])),
            attribute(IFLA_VF_VLAN_LIST, &attribute(1, &tag)),
            attribute(IFLA_VF_RATE, &values(&[vf, 10, 20])),
            attribute(IFLA_VF_SPOOFCHK, &values(&[vf, 1])),
            attribute(IFLA_VF_LINK_STATE, &values(&[vf, 2])),
            attribute(IFLA_VF_TRUST, &values(&[vf, u32::MAX])),
        ];
        attribute(1, &all.concat())
    }

    fn message(count: u32) -> Vec<u8> {
        let list: Vec<u8> = (0..count).flat_map(entry).collect();
        let mut message = vec![0; LINK_HEADER];
        message.extend(attribute(3, b"ens1f0\0"));
        message.extend(attribute(IFLA_NUM_VF, &count.to_ne_bytes()));
        message.extend(attribute(IFLA_VFINFO_LIST, &list));
        message.extend(attribute(52, &[]));
        message
    }

    #[test]
    fn every_vf_is_read_also_from_a_list_whose_length_has_wrapped() {
        for count in [0, 1, 7, 512, 2048] {
            let all = parse_list(&message(count), parse_settings).expect("a whole list");
            assert_eq!(all.len(), count as usize);
            let Some(last) = all.last() else { continue };
            let [high, low] = u16::try_from(count - 1).expect("few VFs").to_be_bytes();
            assert_eq!(last.mac, MacAddr([2, 0, 0, 0, high, low]));
            assert_eq!(
                last.vlan,
                VlanTag {
                    id: vlan_id(4094),
                    priority: vlan_priority(7),
                    protocol: VlanProtocol::Dot1Ad
                }
            );
            assert_eq!(last.rates, Rates { min: 10, max: 20 });
            assert_eq!((last.spoof_check, last.trust), (Some(true), None));
            assert_eq!(last.link_state, LinkState::Disable);
        }
    }

    #[test]
    fn a_list_cut_short_anywhere_is_an_error_and_never_a_panic() {
        let whole = message(3);
        let list_ends = whole.len() - 4;
        for length in 0..list_ends {
            let read = parse_list(&whole[..length], parse_settings);
            assert!(read.is_err() || read == Ok(Vec::new()), "{length} bytes gave {read:?}");
        }
    }
}
