//! Values of one text: durations, sizes, addresses, patterns. Each is read once, by the rule that its schema names.
//!
//! [`rule`] is how the reader of the file finds the rule of a `format` in the schema: so a text that does not fit
//! is a problem at its own place, and what deserializes afterwards cannot fail.

pub(super) mod address;
pub(super) mod amount;
pub(super) mod http;
pub(super) mod word;

/// Why a text is not what its key takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Trouble {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What is read from one text.
pub(super) trait Leaf: Sized {
    /// `format` in the schema.
    const FORMAT: &'static str;
    /// What a person is told to write.
    const MEANING: &'static str;

    /// Reads it.
    fn read(text: &str) -> Result<Self, Trouble>;

    /// The size of an amount in its smallest unit (milliseconds, bytes, hundredths): what bounds and defaults are
    /// compared by. `None` for what is no amount.
    fn amount(&self) -> Option<u128> {
        None
    }
}

/// A text that was checked.
pub(super) struct Checked {
    /// See [`Leaf::amount`].
    pub(super) amount: Option<u128>,
}

/// How a `format` is read.
pub(super) struct Rule {
    pub(super) meaning: &'static str,
    pub(super) check: fn(&str) -> Result<Checked, Trouble>,
}

/// The rule of a `format`, if it is one of ours.
pub(super) fn rule(format: &str) -> Option<Rule> {
    RULES.iter().find(|(name, ..)| *name == format).map(|(_, meaning, check)| Rule { meaning, check: *check })
}

fn check<L: Leaf>(text: &str) -> Result<Checked, Trouble> {
    L::read(text).map(|leaf| Checked { amount: leaf.amount() })
}

type Row = (&'static str, &'static str, fn(&str) -> Result<Checked, Trouble>);

macro_rules! leaves {
    ($($leaf:ty),* $(,)?) => {
        static RULES: &[Row] = &[$((<$leaf>::FORMAT, <$leaf>::MEANING, check::<$leaf>)),*];

        $(
            impl<'de> serde::Deserialize<'de> for $leaf {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                    <$leaf>::read(&text).map_err(|trouble| serde::de::Error::custom(trouble.message))
                }
            }

            impl schemars::JsonSchema for $leaf {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> std::borrow::Cow<'static, str> {
                    <$leaf>::FORMAT.into()
                }

                fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                    // Numbers too: YAML reads `404` and `32768` as numbers, whoever validates by the schema alone.
                    schemars::json_schema!({ "type": ["string", "number"], "format": <$leaf>::FORMAT })
                }
            }
        )*
    };
}

leaves! {
    amount::Span, amount::Size, amount::BodyLimit, amount::Percent, amount::Workers,
    address::Bind, address::AdminBind, address::Cidr, address::ServerUrl,
    http::Method, http::Host, http::PathPattern, http::PathPrefix, http::AbsolutePath, http::Authority,
    http::FieldName, http::FieldValue, http::RedirectTo, http::Statuses,
    word::HashKey, word::RateKey, word::RetryOn, word::Quantile, word::LogPath, word::CookieName,
    word::Datagram,
}
