//! The results as pictures (SVG).

use std::ops::Range;
use std::path::Path;

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Results;
use crate::race::{Outcome, Times};
use crate::samples::{Samples, milliseconds};
use crate::scenario::Addressing;

const NAMES: [&str; 3] = ["Linkspan", "reference", "floor"];
const COLORS: [RGBColor; 3] =
    [RGBColor(31, 119, 180), RGBColor(255, 127, 14), RGBColor(150, 150, 150)];
const WIDTH: u32 = 860;

/// Draws all plots into a folder.
pub(crate) fn draw(folder: &Path, results: &Results) -> Result<()> {
    let outcomes = &results.outcomes;
    bars(&folder.join("add.svg"), "ADD, median, ms", outcomes, |outcome| &outcome.add)?;
    bars(&folder.join("del.svg"), "DEL, median, ms", outcomes, |outcome| &outcome.del)?;
    taken(&folder.join("taken.svg"), results)
}

/// One group of bars for each outcome, on a logarithmic scale.
fn bars(
    path: &Path,
    title: &str,
    outcomes: &[Outcome],
    times: impl Fn(&Outcome) -> &Times,
) -> Result<()> {
    let groups = u32::try_from(outcomes.len())?;
    let root = SVGBackend::new(path, (WIDTH, 110 + 56 * groups)).into_drawing_area();
    root.fill(&WHITE)?;
    let shown = outcomes.iter().flat_map(|outcome| all(times(outcome)));
    let range = decades(shown.filter(|samples| samples.count() > 0).map(median));
    let left = range.start;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .margin_right(60)
        .x_label_area_size(30)
        .y_label_area_size(230)
        .build_cartesian_2d(range.log_scale(), f64::from(groups)..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_label_formatter(&f64::to_string)
        .draw()?;

    let text = ("sans-serif", 13).into_text_style(&root);
    for (number, outcome) in (0..groups).map(f64::from).zip(outcomes) {
        let at_left = text.pos(Pos::new(HPos::Right, VPos::Center));
        let name = Text::new(outcome.name.clone(), (-8, 0), at_left);
        chart.draw_series([EmptyElement::at((left, number + 0.5)) + name])?;
    }
    for (place, (name, color)) in (0_u8..).zip(NAMES.into_iter().zip(COLORS)) {
        let top = 0.1 + 0.27 * f64::from(place);
        let bars = (0..groups).map(f64::from).zip(outcomes).map(|(number, outcome)| {
            let samples = all(times(outcome))[usize::from(place)];
            (samples, [(left, number + top), (median(samples), number + top + 0.25)])
        });
        let bars: Vec<_> = bars.filter(|(samples, _)| samples.count() > 0).collect();
        let rectangles = bars.iter().map(|(_, corners)| Rectangle::new(*corners, color.filled()));
        chart
            .draw_series(rectangles)?
            .label(name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
        let at_right = text.pos(Pos::new(HPos::Left, VPos::Center));
        chart.draw_series(bars.iter().map(|(samples, [_, (x, y)])| {
            let text = milliseconds(samples, Samples::median);
            EmptyElement::at((*x, y - 0.125)) + Text::new(text, (5, 0), at_right.clone())
        }))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    Ok(root.present()?)
}

/// The cost of an ADD by how many addresses are taken.
fn taken(path: &Path, results: &Results) -> Result<()> {
    let counts = [0, 1_000, 10_000, 60_000];
    let outcome = |taken| results.outcome(&Addressing::HostLocal { taken }.name());
    let line = |number: usize| -> Vec<(f64, f64)> {
        let point = |taken| Some((f64::from(taken), median(all(&outcome(taken)?.add)[number])));
        counts.into_iter().filter_map(point).collect()
    };
    let lines = [line(0), line(1), line(2)];
    let root = SVGBackend::new(path, (WIDTH, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let range = decades(lines.iter().flatten().map(|(_, y)| *y));
    let mut chart = ChartBuilder::on(&root)
        .caption("ADD with host-local, median, ms, by addresses taken", ("sans-serif", 18))
        .margin(12)
        .margin_right(40)
        .x_label_area_size(30)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..60_000.0, range.log_scale())?;
    chart
        .configure_mesh()
        .x_label_formatter(&f64::to_string)
        .y_label_formatter(&f64::to_string)
        .draw()?;
    for ((line, name), color) in lines.into_iter().zip(NAMES).zip(COLORS) {
        chart.draw_series(line.iter().map(|point| Circle::new(*point, 4, color.filled())))?;
        chart
            .draw_series(LineSeries::new(line, color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::MiddleRight)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    Ok(root.present()?)
}

fn all(times: &Times) -> [&Samples; 3] {
    [&times.linkspan, &times.reference, &times.floor]
}

fn median(samples: &Samples) -> f64 {
    samples.median().as_secs_f64() * 1e3
}

/// Whole powers of ten around the values.
fn decades(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) =
        values.fold((1.0_f64, 1.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    10_f64.powf(low.log10().floor())..10_f64.powf(high.log10().ceil())
}
