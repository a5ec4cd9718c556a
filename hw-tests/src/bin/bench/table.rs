//! Tables in Markdown that are also read as they are: columns as wide as their widest cell.

/// The first column is text and stands left; the others are numbers and stand right.
pub(crate) fn table<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    rows: &[[String; COLUMNS]],
) -> String {
    let headings = headings.map(str::to_owned);
    let mut widths = [3; COLUMNS];
    for row in std::iter::once(&headings).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let rule: [String; COLUMNS] = std::array::from_fn(|column| match column {
        0 => "-".repeat(widths[0]),
        _ => format!("{}:", "-".repeat(widths[column] - 1)),
    });
    let line = |row: &[String; COLUMNS]| {
        let cells =
            row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    [&headings, &rule].into_iter().chain(rows).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["a", "1"], ["long", "1000"]].map(|row| row.map(str::to_owned));
        let expected = "| of   |    n |\n| ---- | ---: |\n| a    |    1 |\n| long | 1000 |\n";
        assert_eq!(table(["of", "n"], &rows), expected);
    }
}
