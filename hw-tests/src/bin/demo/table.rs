//! Tables as plain text: columns as wide as their widest cell.

/// Lays rows out below their headings, two blanks between columns, none at the end of a line.
pub(crate) fn table<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    rows: &[[String; COLUMNS]],
) -> String {
    let headings = headings.map(str::to_owned);
    let all = || std::iter::once(&headings).chain(rows);
    let mut widths = [0; COLUMNS];
    for row in all() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["a", "0000:01:10.0", "1"], ["long", "x", ""]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let expected = "PF    address       n\na     0000:01:10.0  1\nlong  x";
        assert_eq!(table(["PF", "address", "n"], &rows), expected);
    }
}
