//! What a scraper gets to read: by its `Accept` and `Accept-Encoding`, as Prometheus' content negotiation asks.

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text 0.0.4: what everybody reads.
    Text,
    /// Text 1.0.0: the same, for who may have asked for names in UTF-8. Ours need no escaping.
    TextUtf8(Escaping),
    /// `OpenMetrics` 1.0.0.
    OpenMetrics(Escaping),
}

/// How names that old scrapers can't read would be escaped; told back as it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escaping {
    /// Not at all.
    AllowUtf8,
    /// To `_`.
    Underscores,
    /// `.` to `_dot_`.
    Dots,
    /// To code points.
    Values,
}

impl Escaping {
    const ALL: [Self; 4] = [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];

    const fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }
}

impl Format {
    /// The value of `Content-Type`. Prometheus 3 takes no scrape without a known one.
    pub fn content_type(self) -> String {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8".to_owned(),
            Self::TextUtf8(escaping) => {
                format!("text/plain; version=1.0.0; charset=utf-8; escaping={}", escaping.as_str())
            }
            Self::OpenMetrics(escaping) => {
                format!(
                    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping={}",
                    escaping.as_str()
                )
            }
        }
    }
}

/// How the body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// Compressed.
    Gzip,
}

/// The best format of those that `accept` (all `Accept` headers, joined by commas) names; text 0.0.4 where it names none that we have.
pub fn format(accept: &str) -> Format {
    let offered = ranges(accept).filter_map(|range| Some((range.format()?, range.quality?)));
    // The first of the best, as they stand.
    let best = offered.fold(None, |best: Option<(Format, u16)>, (format, quality)| match best {
        Some((_, before)) if before >= quality => best,
        _ if quality == 0 => best,
        _ => Some((format, quality)),
    });
    best.map_or(Format::Text, |(format, _)| format)
}

/// gzip where `accept_encoding` (all such headers, joined by commas) wants it at least as much as none.
pub fn encoding(accept_encoding: &str) -> Encoding {
    let quality = |names: &[&str]| {
        ranges(accept_encoding)
            .find(|range| names.iter().any(|name| range.name.eq_ignore_ascii_case(name)))
            .and_then(|range| range.quality)
    };
    match (quality(&["gzip", "x-gzip"]).or_else(|| quality(&["*"])), quality(&["identity"])) {
        (Some(1..), None) => Encoding::Gzip,
        (Some(gzip @ 1..), Some(identity)) if gzip >= identity => Encoding::Gzip,
        _ => Encoding::Identity,
    }
}

/// One range of an `Accept` header, or one coding.
struct Range<'a> {
    name: &'a str,
    version: Option<&'a str>,
    escaping: Option<&'a str>,
    /// In thousandths; `None` where it is no number.
    quality: Option<u16>,
}

impl Range<'_> {
    fn format(&self) -> Option<Format> {
        // Prometheus: an escaping that we don't know is passed over.
        let escaping = Escaping::ALL
            .into_iter()
            .find(|escaping| self.escaping == Some(escaping.as_str()))
            .unwrap_or(Escaping::Underscores);
        let is = |name: &str| self.name.eq_ignore_ascii_case(name);
        match self.version {
            None | Some("1.0.0") if is("application/openmetrics-text") => Some(Format::OpenMetrics(escaping)),
            Some("1.0.0") if is("text/plain") => Some(Format::TextUtf8(escaping)),
            None | Some("0.0.4") if is("text/plain") => Some(Format::Text),
            _ if is("text/*") || is("*/*") => Some(Format::Text),
            _ => None,
        }
    }
}

fn ranges(header: &str) -> impl Iterator<Item = Range<'_>> {
    // Nothing that we know holds a comma or semicolon in quotes: what does is passed over piece by piece.
    header.split(',').map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let mut range = Range { name, version: None, escaping: None, quality: Some(1000) };
        for part in parts {
            let Some((key, value)) = part.split_once('=') else { continue };
            let (key, value) = (key.trim(), value.trim().trim_matches('"'));
            if key.eq_ignore_ascii_case("q") {
                range.quality = thousandths(value);
            } else if key.eq_ignore_ascii_case("version") {
                range.version = Some(value);
            } else if key.eq_ignore_ascii_case("escaping") {
                range.escaping = Some(value);
            }
        }
        range
    })
}

/// `0.5` is 500; RFC 9110 has up to three digits, others write more.
fn thousandths(quality: &str) -> Option<u16> {
    let (whole, part) = quality.split_once('.').unwrap_or((quality, ""));
    if !part.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    match whole {
        "1" if part.bytes().all(|digit| digit == b'0') => Some(1000),
        "0" | "" => format!("{part:0<3}").get(..3)?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_format_that_is_asked_for_wins() {
        let open = Format::OpenMetrics(Escaping::Underscores);
        let cases = [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text),
            ("image/png", Format::Text),
            ("text/plain", Format::Text),
            ("text/plain;version=0.0.4", Format::Text),
            ("text/plain;version=9.9", Format::Text),
            ("application/openmetrics-text", open),
            ("application/openmetrics-text; version=1.0.0", open),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8", open),
            ("application/openmetrics-text;version=2.0.0", Format::Text),
            ("application/openmetrics-text;version=0.0.1", Format::Text),
            ("application/openmetrics-text;version=1.0.0;q=0", Format::Text),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.6", Format::Text),
            ("application/openmetrics-text;q=0.6,text/plain;q=0.5", open),
            ("text/plain;q=0.5,application/openmetrics-text;q=0.50", Format::Text),
            ("application/openmetrics-text;q=1.5,text/plain;q=0.1", Format::Text),
            ("text/plain;q=0.001, application/openmetrics-text;q=.002", open),
            ("application/openmetrics-text;escaping=dots", Format::OpenMetrics(Escaping::Dots)),
            ("application/openmetrics-text;escaping=morse", open),
            ("text/plain;version=1.0.0;escaping=values", Format::TextUtf8(Escaping::Values)),
            // Prometheus 3.14, 2.42, and one that takes native histograms, whose protobuf we don't have.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics(Escaping::AllowUtf8),
            ),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                open,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::Text,
            ),
        ];
        assert_eq!(cases.map(|(accept, _)| (accept, format(accept))), cases);
    }

    #[test]
    fn gzip_is_for_those_who_ask() {
        let cases = [
            ("", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("GZIP", Encoding::Gzip),
            ("x-gzip", Encoding::Gzip),
            ("*", Encoding::Gzip),
            ("deflate, gzip;q=1.0, *;q=0.5", Encoding::Gzip),
            ("zstd, br", Encoding::Identity),
            ("gzip;q=0", Encoding::Identity),
            ("gzip;q=0, *", Encoding::Identity),
            ("*;q=0", Encoding::Identity),
            ("gzip;q=0.000", Encoding::Identity),
            ("gzip;q=nonsense", Encoding::Identity),
            ("identity;q=1, gzip;q=0.5", Encoding::Identity),
            ("identity;q=0.5, gzip;q=0.5", Encoding::Gzip),
            ("identity", Encoding::Identity),
        ];
        assert_eq!(cases.map(|(asked, _)| (asked, encoding(asked))), cases);
    }

    #[test]
    fn the_content_type_is_exact() {
        assert_eq!(
            [Format::Text, Format::TextUtf8(Escaping::Values), Format::OpenMetrics(Escaping::AllowUtf8)]
                .map(Format::content_type),
            [
                "text/plain; version=0.0.4; charset=utf-8",
                "text/plain; version=1.0.0; charset=utf-8; escaping=values",
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            ]
        );
    }
}
