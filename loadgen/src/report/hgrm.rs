//! `.hgrm`: the percentile distribution as text, in the layout of HdrHistogram's `outputPercentileDistribution`,
//! which its plotter and many other tools read. Values are milliseconds.

use std::fmt::Write;

use hdrhistogram::Histogram;

use crate::result::Distribution;

/// Steps in each halving of the distance to 100 %: what HdrHistogram's own tools use.
const TICKS: u32 = 5;

/// The distribution as text.
#[must_use]
pub fn render(distribution: &Distribution) -> String {
    let histogram = distribution.to_histogram();
    let mut out = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let mut seen = 0;
    for step in histogram.iter_quantiles(TICKS) {
        seen += step.count_since_last_iteration();
        write_step(&mut out, millis(step.value_iterated_to()), step.quantile_iterated_to(), seen);
    }
    write_footer(&mut out, distribution, &histogram);
    out
}

fn write_step(out: &mut String, value: f64, quantile: f64, seen: u64) {
    let _ = if quantile < 1.0 {
        writeln!(out, "{value:12.3} {quantile:2.12} {seen:10} {:14.2}", 1.0 / (1.0 - quantile))
    } else {
        writeln!(out, "{value:12.3} {quantile:2.12} {seen:10}")
    };
}

fn write_footer(out: &mut String, distribution: &Distribution, histogram: &Histogram<u64>) {
    let mean = distribution.mean_ns() / 1e6;
    let deviation = distribution.deviation_ns() / 1e6;
    let _ = writeln!(out, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
    let max = millis(distribution.max_ns());
    let _ = writeln!(out, "#[Max     = {max:12.3}, Total count    = {:12}]", distribution.count());
    // 3 digits need 2048 sub-buckets.
    let _ = writeln!(out, "#[Buckets = {:12}, SubBuckets     = {:12}]", histogram.buckets(), 2048);
}

fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_the_layout_of_hdrhistogram() {
        let distribution = Distribution((1..=1000).map(|n| (n * 1_000_000, 1)).collect());
        let text = render(&Distribution::from_histogram(&distribution.to_histogram()));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)");
        assert_eq!(lines[1], "");
        let half = lines.iter().find(|line| line.contains(" 0.500000000000 ")).unwrap();
        let words: Vec<&str> = half.split_whitespace().collect();
        assert!(words[0].starts_with("500.") && words[2] == "500" && words[3] == "2.00", "{half}");
        assert!(lines[lines.len() - 4].contains(" 1.000000000000 "), "{text}");
        assert!(lines[lines.len() - 2].contains("Total count    =         1000]"), "{text}");
    }

    #[test]
    fn no_values_give_a_text_without_steps() {
        assert_eq!(render(&Distribution::default()).lines().filter(|line| !line.starts_with('#')).count(), 2);
    }
}
