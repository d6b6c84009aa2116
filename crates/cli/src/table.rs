//! Tables that fit the terminal.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use console::{Term, measure_text_width};

/// Returns the width of the terminal of the standard output in columns; none for a pipe or a file,
/// and with `wide`.
pub fn width_of_output(wide: bool) -> Option<usize> {
    let terminal = Term::stdout();
    let size = (!wide && terminal.is_term()).then(|| terminal.size_checked());
    size.flatten().map(|(_, columns)| usize::from(columns))
}

/// A column of a table of numbers.
#[derive(Clone, Debug)]
pub struct Column {
    /// Header. Narrow tables break it at its spaces.
    pub header: String,
    /// Rank among the columns that are left out for lack of width: larger ranks first. Without a
    /// rank, the column is always shown.
    pub left_out: Option<usize>,
}

impl Column {
    /// Creates a column that is always shown.
    pub fn new(header: impl Into<String>) -> Self {
        Self {
            header: header.into(),
            left_out: None,
        }
    }

    /// Creates a column that is left out for lack of width, before those of lower numbers.
    pub fn left_out(header: impl Into<String>, number: usize) -> Self {
        Self {
            left_out: Some(number),
            ..Self::new(header)
        }
    }
}

/// Returns a table of numbers, whose first two columns are text. It is fitted to the width, if
/// there is one, first by breaking headers, then by leaving out columns, which a line below counts,
/// and finally by breaking text.
pub fn of_numbers(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> String {
    let all: Vec<usize> = (0..columns.len()).collect();
    let whole = numbers(columns, rows, &all, " ").to_string();
    let Some(width) = width.filter(|&width| width < width_of(&whole)) else {
        return whole;
    };
    let mut kept = all;
    loop {
        let mut table = numbers(columns, rows, &kept, "\n");
        let text = table.to_string();
        let left_out = match columns.len() - kept.len() {
            0 => String::new(),
            1 => "\n1 column is left out: --wide shows it.".into(),
            count => format!("\n{count} columns are left out: --wide shows them."),
        };
        if width_of(&text) <= width {
            return text + &left_out;
        }
        let least = kept
            .iter()
            .copied()
            .filter(|&at| columns[at].left_out.is_some());
        match least.max_by_key(|&at| columns[at].left_out) {
            Some(least) => kept.retain(|&at| at != least),
            None => return fitted(&mut table, width) + &left_out,
        }
    }
}

/// Returns the table of the kept columns, with `space` in place of the spaces in the headers.
fn numbers(columns: &[Column], rows: &[Vec<String>], kept: &[usize], space: &str) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let headers = kept
        .iter()
        .map(|&at| columns[at].header.replace(' ', space));
    table.set_header(headers);
    for row in rows {
        table.add_row(kept.iter().map(|&at| &row[at]));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Returns a table of text, with lines broken to the width if there is one, except in the first
/// column, which holds names.
pub fn of_text<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    width: Option<usize>,
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header);
    table.add_rows(rows);
    let whole = table.to_string();
    match width.filter(|&width| width < width_of(&whole)) {
        Some(width) => fitted(&mut table, width),
        None => whole,
    }
}

/// Returns the table with lines broken to the width.
fn fitted(table: &mut Table, width: usize) -> String {
    let names = table.column_max_content_widths().first().copied();
    if let Some((name, column)) = names.zip(table.column_mut(0)) {
        // Half of the width at most, since the other columns would become too narrow.
        let name = usize::from(name + 2).min(width / 2);
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(as_columns(name))));
    }
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(as_columns(width));
    table.to_string()
}

fn as_columns(width: usize) -> u16 {
    u16::try_from(width).unwrap_or(u16::MAX)
}

fn width_of(text: &str) -> usize {
    let lines = text.lines().map(|line| measure_text_width(line.trim_end()));
    lines.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(width: Option<usize>) -> String {
        let columns = [
            Column::new(""),
            Column::new("model"),
            Column::new("accuracy %"),
            Column::left_out("latency ms", 1),
            Column::left_out("bytes", 2),
        ];
        let row = [
            "student (baseline)",
            "mlp-32",
            "88.50 ± 1.25",
            "0.012",
            "12 345",
        ];
        of_numbers(&columns, &[row.map(String::from).to_vec()], width)
    }

    #[test]
    fn a_table_of_numbers_is_whole_where_there_is_room() {
        let whole = example(None);
        assert!(
            whole.contains("accuracy %") && whole.contains("12 345"),
            "{whole}"
        );
        assert_eq!(example(Some(200)), whole);
    }

    #[test]
    fn a_table_of_numbers_leaves_out_columns_and_never_breaks_a_number() {
        for width in [67, 63, 55, 49] {
            let table = example(Some(width));
            assert!(width_of(&table) <= width, "{width}:\n{table}");
            assert!(table.contains("88.50 ± 1.25"), "{width}:\n{table}");
            assert!(table.contains("student (baseline)"), "{width}:\n{table}");
        }
        assert!(!example(Some(55)).contains("12 345"));
        assert!(example(Some(55)).ends_with("1 column is left out: --wide shows it."));
        assert!(!example(None).contains("left out"));
        assert!(example(Some(55)).contains("0.012"));
        assert!(!example(Some(49)).contains("0.012"));
    }

    #[test]
    fn text_is_broken_to_the_width_but_names_are_whole() {
        let row = ["soft-target", "kd, hinton", &"a long reference ".repeat(10)];
        let table = |width| {
            of_text(
                ["name", "also", "reference"],
                [row.map(String::from)],
                width,
            )
        };

        assert!(width_of(&table(None)) > 150);
        let narrow = table(Some(60));
        assert!(width_of(&narrow) <= 60, "{narrow}");
        assert!(narrow.contains("soft-target"), "{narrow}");
    }
}
