//! A report as one table of text, and the sentences below it.  Pure.

use std::ops::RangeInclusive;

use super::report::{Device, Lease, Model, Parent, Pool, Report, Trouble};

/// How wide it may be: what fits a terminal beside another.
const WIDTH: usize = 100;
const GAP: usize = 2;
const HEAD: [&str; 7] = ["DEVICE", "POOL", "POD", "IF", "NETWORK", "ADDRESS", "STATE"];
/// The columns that are never cut: half an address is another address.
const WHOLE: [usize; 2] = [0, 5];

/// The columns in which nothing stands of a parent but what its devices are.
const MIDDLE: RangeInclusive<usize> = 1..=5;

/// One line.
struct Line {
    cells: [String; 7],
    /// What stands in place of the cells in the middle.
    middle: Option<String>,
    tone: Tone,
}

/// How good the news of a line is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Head,
    Bad,
}

/// The report as text, whole lines of it, with a terminal's colours or without.
pub(super) fn text(report: &Report, colours: bool) -> String {
    let mut lines = vec![Line { cells: HEAD.map(String::from), middle: None, tone: Tone::Head }];
    lines.extend(report.pools.iter().map(pool));
    for one in &report.parents {
        let on_it = |device: &&Device| device.parent.as_ref() == Some(&one.id);
        let models = report.devices.iter().filter(on_it).filter_map(|one| one.model.as_ref());
        lines.push(parent(one, models.map(name).next()));
        lines.extend(report.devices.iter().filter(on_it).flat_map(|one| device(one, "  ")));
    }
    let alone = report.devices.iter().filter(|device| device.parent.is_none());
    lines.extend(alone.flat_map(|one| device(one, "")));
    let mut text = match &lines[..] {
        [_head] => "No PF, no pool and no pod's link is on this node\n".to_owned(),
        lines => aligned(lines, colours),
    };
    for sentence in sentences(report) {
        text.push_str(&wrapped(&sentence));
    }
    text
}

fn pool(pool: &Pool) -> Line {
    let what = if pool.shares { "shares" } else { "devices" };
    let ill = if pool.ill > 0 { format!(", {} ill", pool.ill) } else { String::new() };
    let [device, name, state] = [
        format!("{} {what}", pool.capacity),
        pool.name.clone(),
        format!("{} free{ill}", pool.free),
    ];
    let cells = [device, name, String::new(), String::new(), String::new(), String::new(), state];
    Line { cells, middle: None, tone: if pool.ill > 0 { Tone::Bad } else { Tone::Plain } }
}

/// The VFs of a PF are all alike, and called after it.
fn parent(parent: &Parent, model: Option<String>) -> Line {
    let word = match parent.troubles.first() {
        Some(trouble) => trouble.word,
        None => {
            if parent.up {
                "up"
            } else {
                "down"
            }
        }
    };
    let vfs = parent.vfs.map(|vfs| format!(", {}/{} VFs", vfs.now, vfs.possible));
    let state = format!("{word}{}", vfs.unwrap_or_default());
    let mut cells = <[String; 7]>::default();
    cells[0].clone_from(&parent.id);
    cells[6] = state;
    Line { cells, middle: model, tone: tone(&parent.troubles) }
}

/// What people call a device; its numbers, where they don't.
fn name(model: &Model) -> String {
    let name = if model.name.is_empty() { &model.id } else { &model.name };
    format!("{} {name}", model.vendor).trim_start().to_owned()
}

/// A device has a line for each of its addresses, and one where it has none.
fn device(device: &Device, indent: &str) -> Vec<Line> {
    let state = match (device.troubles.first(), &device.lease) {
        (Some(trouble), _) => trouble.word.to_owned(),
        (None, Some(lease)) => lease_in_words(lease),
        (None, None) => "ok".to_owned(),
    };
    let cell = |text: &Option<String>| text.clone().unwrap_or_default();
    let pod = device.pod.clone().or_else(|| device.container.clone());
    let address = device.addresses.first().map(|first| first.address.clone());
    let first = Line {
        cells: [
            format!("{indent}{}", device.id),
            cell(&device.pool),
            pod.unwrap_or_default(),
            cell(&device.interface),
            cell(&device.network),
            address.unwrap_or_default(),
            state,
        ],
        middle: None,
        tone: tone(&device.troubles),
    };
    let others = device.addresses.iter().skip(1).map(|other| {
        let mut cells = <[String; 7]>::default();
        cells[5].clone_from(&other.address);
        Line { cells, middle: None, tone: tone(&device.troubles) }
    });
    std::iter::once(first).chain(others).collect()
}

fn tone(troubles: &[Trouble]) -> Tone {
    if troubles.is_empty() { Tone::Plain } else { Tone::Bad }
}

fn lease_in_words(lease: &Lease) -> String {
    match lease.expires_in {
        None => "leased".to_owned(),
        Some(seconds) if seconds < 120 => format!("leased, {seconds} s"),
        Some(seconds) if seconds < 120 * 60 => format!("leased, {} min", seconds / 60),
        Some(seconds) if seconds < 48 * 3600 => format!("leased, {} h", seconds / 3600),
        Some(seconds) => format!("leased, {} days", seconds / 86_400),
    }
}

/// What is wrong, and what is not known, in whole sentences.
fn sentences(report: &Report) -> Vec<String> {
    let of = |id: &str, troubles: &[Trouble]| {
        troubles.iter().map(|trouble| format!("{id}: {}", trouble.text)).collect::<Vec<_>>()
    };
    let parents = report.parents.iter().flat_map(|one| of(&one.id, &one.troubles));
    let devices = report.devices.iter().flat_map(|one| of(&subject(one), &one.troubles));
    parents.chain(devices).chain(report.unknown.iter().cloned()).collect()
}

/// What a sentence about a device begins with: an ID alone tells no macvlan link from another.
fn subject(device: &Device) -> String {
    let holder = device.pod.as_ref().or(device.container.as_ref());
    match (holder.map(|holder| cut(holder, WIDTH / 2)), &device.interface) {
        (Some(pod), Some(interface)) => format!("{} ({interface} of {pod})", device.id),
        (Some(pod), None) => format!("{} (of {pod})", device.id),
        _ => device.id.clone(),
    }
}

fn aligned(lines: &[Line], colours: bool) -> String {
    let mut widths = [0; 7];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(&line.cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    shrink(&mut widths);
    widen(&mut widths, lines);
    let mut text = String::new();
    for line in lines {
        let row: String = match &line.middle {
            None => {
                line.cells.iter().zip(widths).map(|(cell, width)| padded(cell, width)).collect()
            }
            Some(middle) => {
                let [first, .., last] = &line.cells;
                let width = middle_width(&widths);
                padded(first, widths[0]) + &padded(middle, width) + &padded(last, widths[6])
            }
        };
        let row = row.trim_end();
        let (on, off) = match line.tone {
            Tone::Head if colours => ("\x1b[1m", "\x1b[0m"),
            Tone::Bad if colours => ("\x1b[31m", "\x1b[0m"),
            _ => ("", ""),
        };
        text.extend([on, row, off, "\n"]);
    }
    text
}

/// A cell and the gap behind it.
fn padded(cell: &str, width: usize) -> String {
    let cell = cut(&printable(cell), width);
    let pad = width.saturating_sub(cell.chars().count()) + GAP;
    format!("{cell}{:pad$}", "")
}

fn middle_width(widths: &[usize; 7]) -> usize {
    widths[MIDDLE].iter().sum::<usize>() + GAP * (MIDDLE.count() - 1)
}

/// Gives what is left of the table's width to what stands in the middle and is longer than that.
fn widen(widths: &mut [usize; 7], lines: &[Line]) {
    let wanted = lines.iter().flat_map(|line| &line.middle).map(|middle| middle.chars().count());
    let missing = wanted.max().unwrap_or_default().saturating_sub(middle_width(widths));
    let left = WIDTH.saturating_sub(widths.iter().sum::<usize>() + GAP * (widths.len() - 1));
    widths[*MIDDLE.start()] += missing.min(left);
}

/// Takes from the widest column that may be cut, as long as the table is too wide, and none below its head.
fn shrink(widths: &mut [usize; 7]) {
    while widths.iter().sum::<usize>() + GAP * (widths.len() - 1) > WIDTH {
        let can_be = |column: &usize| {
            !WHOLE.contains(column) && widths[*column] > HEAD[*column].chars().count()
        };
        let Some(widest) = (0..widths.len()).filter(can_be).max_by_key(|column| widths[*column])
        else {
            return;
        };
        widths[widest] -= 1;
    }
}

/// Leaves out the middle: pods of one set differ at the end of their names, and their namespaces at the beginning.
fn cut(cell: &str, width: usize) -> String {
    let length = cell.chars().count();
    if length <= width {
        return cell.to_owned();
    }
    let (front, back) = (width / 2, (width - 1) / 2);
    let front: String = cell.chars().take(front).collect();
    let back: String = cell.chars().skip(length - back).collect();
    format!("{front}…{back}")
}

/// Whatever others call their links, a terminal takes it for text.
fn printable(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A sentence in lines, all but the first of them indented.
fn wrapped(sentence: &str) -> String {
    let mut text = String::new();
    let mut length = 0;
    for word in printable(sentence).split_whitespace() {
        let more = word.chars().count();
        if length > 0 && length + 1 + more > WIDTH {
            text.push_str("\n  ");
            length = 2;
        } else if length > 0 {
            text.push(' ');
            length += 1;
        }
        text.push_str(word);
        length += more;
    }
    text.push('\n');
    text
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
