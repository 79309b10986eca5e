//! Tables without lines, of any length.

use comfy_table::{Cell, CellAlignment, ColumnConstraint, Table, Width};

use super::failure::Failure;
use super::limits::ROWS;
use super::output::Output;

/// One column's heading, and on which side its cells stand.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    /// Text.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

impl Column {
    const fn heading(self) -> &'static str {
        match self {
            Self::Left(heading) | Self::Right(heading) => heading,
        }
    }
}

/// Rows as they come; laid out and written in groups, so that a list of any length needs little memory.
pub(crate) struct Rows<const N: usize> {
    columns: [Column; N],
    widths: [u16; N],
    rows: Vec<[String; N]>,
    headed: bool,
}

impl<const N: usize> Rows<N> {
    pub(crate) fn new(columns: [Column; N]) -> Self {
        Self { columns, widths: [0; N], rows: Vec::new(), headed: false }
    }

    /// Adds a row; its cells must be safe to show.
    pub(crate) fn row(&mut self, cells: [String; N], output: &mut Output) -> Result<(), Failure> {
        self.rows.push(cells);
        if self.rows.len() >= ROWS { self.write(output) } else { Ok(()) }
    }

    /// Writes what is left; says whether there was any row at all.
    pub(crate) fn finish(mut self, output: &mut Output) -> Result<bool, Failure> {
        self.write(output)?;
        Ok(self.headed)
    }

    fn write(&mut self, output: &mut Output) -> Result<(), Failure> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        if !self.headed {
            table.set_header(self.columns.map(Column::heading));
            self.headed = true;
        }
        table.add_rows(self.rows.drain(..).map(|cells| cells.map(Cell::new)));
        for (index, column) in self.columns.iter().enumerate() {
            let Some(laid) = table.column_mut(index) else { continue };
            laid.set_padding((0, if index + 1 == N { 0 } else { 2 }));
            if matches!(column, Column::Right(_)) {
                laid.set_cell_alignment(CellAlignment::Right);
            }
        }
        // Later groups are at least as wide as the earlier ones, so that columns stay in line.
        let wanted = table.column_max_content_widths();
        for ((index, width), wanted) in self.widths.iter_mut().enumerate().zip(wanted) {
            *width = (*width).max(wanted);
            let padding = if index + 1 == N { 0 } else { 2 };
            if let Some(laid) = table.column_mut(index) {
                laid.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(*width + padding)));
            }
        }
        for line in table.lines() {
            output.line(line.trim_end())?;
        }
        output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Shared;

    #[test]
    fn columns_stay_in_line_from_group_to_group() {
        let shared = Shared::default();
        let mut output = Output::to(shared.clone(), false, jiff::Timestamp::UNIX_EPOCH);
        let mut rows = Rows::new([Column::Left("NAME"), Column::Right("SIZE"), Column::Left("NOTE")]);
        for number in 0..=ROWS {
            let name = if number == 0 { "a-long-name".to_owned() } else { "b".to_owned() };
            rows.row([name, number.to_string(), "x".to_owned()], &mut output).unwrap();
        }
        assert!(rows.finish(&mut output).unwrap());
        let text = shared.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), ROWS + 2);
        assert_eq!(lines[0], "NAME         SIZE  NOTE");
        assert_eq!(lines[1], "a-long-name     0  x");
        assert_eq!(lines[2], "b               1  x");
        assert_eq!(lines[ROWS + 1], format!("b            {ROWS:>4}  x"));
    }

    #[test]
    fn no_rows_no_heading() {
        let shared = Shared::default();
        let mut output = Output::to(shared.clone(), false, jiff::Timestamp::UNIX_EPOCH);
        assert!(!Rows::new([Column::Left("NAME")]).finish(&mut output).unwrap());
        assert_eq!(shared.text(), "");
    }
}
