//! Prometheus' text format, version 0.0.4.  Pure.

use std::fmt::Write as _;

/// All that is told of one thing.
pub struct Family {
    /// `linkspan_devices`, say.
    pub name: &'static str,
    /// What its numbers mean.
    pub kind: Kind,
    /// What it is, in one line.
    pub help: &'static str,
    /// The numbers.
    pub samples: Vec<Sample>,
}

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is what it is now.
    Gauge,
    /// It counts what was at most so and so much.
    Histogram,
}

/// Names and values.
pub type Labels = Vec<(&'static str, String)>;

/// One number.
pub struct Sample {
    /// What follows the family's name: `_sum`, say.
    pub suffix: &'static str,
    /// What it is the number of.
    pub labels: Labels,
    /// The number.
    pub value: Value,
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Written in full: a counter of bytes has more digits than a float.
    Whole(u64),
    /// Written as short as it can be.
    Fraction(f64),
}

impl Sample {
    /// A number under the family's own name.
    #[must_use]
    pub fn new(labels: Labels, value: u64) -> Self {
        Self { suffix: "", labels, value: Value::Whole(value) }
    }
}

/// The families as one text; those without samples are left out.
#[must_use]
pub fn render(families: &[Family]) -> String {
    let mut text = String::new();
    for Family { name, kind, help, samples } in families {
        if samples.is_empty() {
            continue;
        }
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string can't fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for sample in samples {
            let _ = write!(text, "{name}{}", sample.suffix);
            for (n, (label, value)) in sample.labels.iter().enumerate() {
                let before = if n == 0 { '{' } else { ',' };
                let _ = write!(text, "{before}{label}=\"{}\"", escaped(value));
            }
            if !sample.labels.is_empty() {
                text.push('}');
            }
            let _ = match sample.value {
                Value::Whole(number) => writeln!(text, " {number}"),
                Value::Fraction(number) => writeln!(text, " {number}"),
            };
        }
    }
    text
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let bucket = |bound: &str, count| Sample {
            suffix: "_bucket",
            ..Sample::new(vec![("le", bound.to_owned())], count)
        };
        let sum = Sample { suffix: "_sum", labels: Vec::new(), value: Value::Fraction(0.25) };
        let families = [
            Family {
                name: "devices",
                kind: Kind::Gauge,
                help: "Devices.",
                samples: vec![
                    Sample::new(vec![("pool", "a/b".into()), ("pf", "p".into())], 7),
                    Sample::new(vec![("pool", "a \"b\"\\\n".into())], u64::MAX),
                ],
            },
            Family { name: "nothing", kind: Kind::Counter, help: "None.", samples: Vec::new() },
            Family {
                name: "took_seconds",
                kind: Kind::Histogram,
                help: "How long.",
                samples: vec![bucket("0.1", 1), bucket("+Inf", 2), sum],
            },
        ];
        let expected = concat!(
            "# HELP devices Devices.\n",
            "# TYPE devices gauge\n",
            "devices{pool=\"a/b\",pf=\"p\"} 7\n",
            "devices{pool=\"a \\\"b\\\"\\\\\\n\"} 18446744073709551615\n",
            "# HELP took_seconds How long.\n",
            "# TYPE took_seconds histogram\n",
            "took_seconds_bucket{le=\"0.1\"} 1\n",
            "took_seconds_bucket{le=\"+Inf\"} 2\n",
            "took_seconds_sum 0.25\n",
        );
        assert_eq!(render(&families), expected);
    }
}
