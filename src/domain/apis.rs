//! Which backend can answer a request: the set of APIs that a backend speaks, and what a request needs of it.
//!
//! A request goes only where its API is spoken: any other backend answers 404 at once, which looks quick and healthy.
//! [`ApiSet`] is one word, so that the check in a decision is a comparison of bits.
//!
//! Some paths are shared. Anthropic's `/v1/models` is OpenAI's, told apart by a header; Perplexity's chat completions
//! have no version in their path; LightRAG's and Ollama's paths are ordinary words that any service may use. For those,
//! [`ApiNeed::of`] takes the most specific need that some backend of the pool meets.

use super::Api;

/// APIs, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ApiSet(u32);

impl ApiSet {
    /// No API.
    pub const NONE: Self = Self(0);

    /// These APIs.
    pub const fn of(apis: &[Api]) -> Self {
        let (mut bits, mut rest) = (0, apis);
        while let [first, others @ ..] = rest {
            bits |= bit(*first);
            rest = others;
        }
        Self(bits)
    }

    /// Whether it has this API.
    pub const fn has(self, api: Api) -> bool {
        self.0 & bit(api) != 0
    }

    /// The APIs of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it has no API.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its APIs, in the order of the documentation.
    pub fn iter(self) -> impl Iterator<Item = Api> {
        Api::ALL.into_iter().filter(move |&api| self.has(api))
    }

    /// Their names, in the order of the documentation.
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(Api::name).collect()
    }
}

const fn bit(api: Api) -> u32 {
    1 << api as u32
}

/// The APIs of one provider, under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiFamily {
    /// Its name in the configuration.
    pub name: &'static str,
    /// All of its APIs.
    pub apis: ApiSet,
}

/// OpenAI's.
const OPENAI: ApiSet = ApiSet::of(&[
    Api::ChatCompletions,
    Api::Responses,
    Api::Completions,
    Api::Embeddings,
    Api::Models,
    Api::OpenAiOther,
]);
/// Anthropic's, also on Vertex.
const ANTHROPIC: ApiSet =
    ApiSet::of(&[Api::Messages, Api::VertexMessages, Api::CountTokens, Api::AnthropicOther, Api::Models]);
/// Perplexity's.
const PERPLEXITY: ApiSet = ApiSet::of(&[Api::Sonar, Api::Agent, Api::AsyncChat, Api::Models]);
/// Ollama's.
const OLLAMA: ApiSet = ApiSet::of(&[Api::OllamaChat, Api::OllamaGenerate, Api::OllamaOther]);
/// LightRAG's, which has Ollama's form as well.
const LIGHTRAG: ApiSet = ApiSet::of(&[Api::LightRagQuery, Api::LightRagOther]).with(OLLAMA);
/// Gemini's.
const GEMINI: ApiSet = ApiSet::of(&[Api::GenerateContent, Api::GeminiOther]);
/// Whatever has a path of no known API.
const GENERIC: ApiSet = ApiSet::of(&[Api::Other]);

/// A backend whose list of models is OpenAI's speaks one of these.
const OPENAI_MODELS: ApiSet =
    ApiSet::of(&[Api::ChatCompletions, Api::Responses, Api::Completions, Api::Embeddings, Api::OpenAiOther]);

impl ApiFamily {
    /// Every family, in the order of the documentation. Each is also what a backend of the type of that name speaks.
    pub const ALL: [Self; 7] = [
        Self { name: "openai", apis: OPENAI },
        Self { name: "anthropic", apis: ANTHROPIC },
        Self { name: "perplexity", apis: PERPLEXITY },
        Self { name: "lightrag", apis: LIGHTRAG },
        Self { name: "ollama", apis: OLLAMA },
        Self { name: "gemini", apis: GEMINI },
        Self { name: "generic", apis: GENERIC },
    ];
}

impl super::BackendType {
    /// The APIs that backends of this type speak, unless the configuration says which.
    pub const fn apis(self) -> ApiSet {
        match self {
            Self::OpenAi => OPENAI,
            Self::Anthropic => ANTHROPIC,
            Self::Perplexity => PERPLEXITY,
            Self::LightRag => LIGHTRAG,
            Self::Gemini => GEMINI,
            Self::Generic => GENERIC,
        }
    }
}

/// Whose form of an API a request has, where several providers have one under the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Vendor {
    /// OpenAI's, which most servers copy; or there is only one form.
    #[default]
    Usual,
    /// Anthropic's, by the header `anthropic-version`: a list of models, or a path that nobody knows.
    Anthropic,
    /// Perplexity's: `/chat/completions` and `/models` without a version before them.
    Perplexity,
    /// Gemini's OpenAI form: `/v1beta/openai/…`.
    Gemini,
}

/// What a request needs of a backend: all of some APIs, and one of some others unless these are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ApiNeed {
    all: ApiSet,
    any: ApiSet,
}

impl ApiNeed {
    /// Nothing: any backend will do.
    pub const NONE: Self = Self { all: ApiSet::NONE, any: ApiSet::NONE };

    /// This API.
    pub const fn one(api: Api) -> Self {
        Self { all: ApiSet::of(&[api]), any: ApiSet::NONE }
    }

    /// What a request of `api` needs, where these are the APIs of each backend of the pool.
    pub fn of(api: Api, vendor: Vendor, pool: &(impl Iterator<Item = ApiSet> + Clone)) -> Self {
        let first = |needs: &[Self]| {
            let met = |need: &&Self| pool.clone().any(|apis| need.is_met_by(apis));
            needs.iter().find(met).or(needs.last()).copied().unwrap_or_default()
        };
        let (own, other) = (Self::one(api), Self::one(Api::Other));
        let sonar = Self::one(Api::Sonar);
        let and = |second| Self { all: ApiSet::of(&[api, second]), ..own };
        match (api, vendor) {
            (_, Vendor::Gemini) => first(&[Self::one(Api::GenerateContent), own]),
            (Api::ChatCompletions, Vendor::Perplexity) => first(&[sonar, own]),
            // A pool of Perplexity's alone, whose clients put a version before the path.
            (Api::ChatCompletions, _) => first(&[own, sonar, own]),
            (Api::Responses, _) => first(&[own, Self::one(Api::Agent), own]),
            (Api::Models, Vendor::Anthropic) => first(&[and(Api::Messages), own]),
            (Api::Models, Vendor::Perplexity) => first(&[and(Api::Sonar), own]),
            (Api::Models, Vendor::Usual) => first(&[Self { any: OPENAI_MODELS, ..own }, own]),
            // Words that any service may use. Where nobody is there for them, the refusal is about the API they name.
            (Api::LightRagQuery | Api::OllamaChat | Api::OllamaGenerate | Api::Sonar | Api::Agent, _) => {
                first(&[own, other, own])
            }
            (Api::LightRagOther | Api::OllamaOther, _) => first(&[own, other, Self::NONE]),
            (Api::Other, _) => first(&[other, Self::NONE]),
            (
                Api::Completions
                | Api::Embeddings
                | Api::OpenAiOther
                | Api::Messages
                | Api::VertexMessages
                | Api::CountTokens
                | Api::AnthropicOther
                | Api::AsyncChat
                | Api::GenerateContent
                | Api::GeminiOther,
                _,
            ) => own,
        }
    }

    /// Whether a backend that speaks these APIs can answer.
    pub const fn is_met_by(self, apis: ApiSet) -> bool {
        apis.0 & self.all.0 == self.all.0 && (self.any.is_empty() || apis.0 & self.any.0 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::BackendType;

    const POOL: [BackendType; 4] =
        [BackendType::OpenAi, BackendType::Anthropic, BackendType::Perplexity, BackendType::LightRag];

    /// The types of the backends of a pool that may answer.
    fn fitting(pool: &[BackendType], api: Api, vendor: Vendor) -> Vec<BackendType> {
        let need = ApiNeed::of(api, vendor, &pool.iter().map(|kind| kind.apis()));
        pool.iter().copied().filter(|kind| need.is_met_by(kind.apis())).collect()
    }

    #[test]
    fn every_api_of_a_mixed_pool_has_one_type_of_backend() {
        use BackendType::{Anthropic, LightRag, OpenAi, Perplexity};
        for (api, vendor, kind) in [
            (Api::ChatCompletions, Vendor::Usual, Some(OpenAi)),
            (Api::ChatCompletions, Vendor::Perplexity, Some(Perplexity)),
            (Api::Responses, Vendor::Usual, Some(OpenAi)),
            (Api::Completions, Vendor::Usual, Some(OpenAi)),
            (Api::Embeddings, Vendor::Usual, Some(OpenAi)),
            (Api::OpenAiOther, Vendor::Usual, Some(OpenAi)),
            (Api::Models, Vendor::Anthropic, Some(Anthropic)),
            (Api::Messages, Vendor::Usual, Some(Anthropic)),
            (Api::CountTokens, Vendor::Usual, Some(Anthropic)),
            (Api::AnthropicOther, Vendor::Usual, Some(Anthropic)),
            (Api::Sonar, Vendor::Usual, Some(Perplexity)),
            (Api::Agent, Vendor::Usual, Some(Perplexity)),
            (Api::AsyncChat, Vendor::Usual, Some(Perplexity)),
            (Api::LightRagQuery, Vendor::Usual, Some(LightRag)),
            (Api::LightRagOther, Vendor::Usual, Some(LightRag)),
            (Api::OllamaChat, Vendor::Usual, Some(LightRag)),
            (Api::GenerateContent, Vendor::Usual, None),
            (Api::GeminiOther, Vendor::Usual, None),
        ] {
            assert_eq!(fitting(&POOL, api, vendor), Vec::from_iter(kind), "{api:?} {vendor:?}");
        }
        assert_eq!(fitting(&POOL, Api::Models, Vendor::Usual), [OpenAi]);
        assert_eq!(fitting(&POOL, Api::Models, Vendor::Perplexity), [Perplexity]);
        assert_eq!(fitting(&POOL, Api::Other, Vendor::Usual), POOL, "of no known API: any");
    }

    #[test]
    fn a_path_of_no_known_api_goes_to_generic_backends_where_there_are_any() {
        use BackendType::{Generic, LightRag, OpenAi};
        assert_eq!(fitting(&[OpenAi, Generic], Api::Other, Vendor::Usual), [Generic]);
        assert_eq!(fitting(&[OpenAi, LightRag], Api::Other, Vendor::Usual), [OpenAi, LightRag]);
        // What LightRAG's and Ollama's paths are called is what other services call theirs.
        for api in [Api::LightRagQuery, Api::LightRagOther, Api::OllamaChat] {
            assert_eq!(fitting(&[OpenAi, Generic], api, Vendor::Usual), [Generic], "{api:?}");
            assert_eq!(fitting(&[LightRag, Generic], api, Vendor::Usual), [LightRag], "{api:?}");
        }
        assert_eq!(fitting(&[OpenAi], Api::LightRagQuery, Vendor::Usual), []);
        assert_eq!(fitting(&[OpenAi, Generic], Api::Messages, Vendor::Usual), []);
    }

    #[test]
    fn a_form_that_no_backend_of_the_pool_has_is_taken_for_the_usual_one() {
        use BackendType::{Anthropic, Gemini, OpenAi, Perplexity};
        assert_eq!(fitting(&[OpenAi], Api::ChatCompletions, Vendor::Perplexity), [OpenAi]);
        assert_eq!(fitting(&[Perplexity], Api::ChatCompletions, Vendor::Usual), [Perplexity]);
        assert_eq!(fitting(&[Perplexity], Api::Responses, Vendor::Usual), [Perplexity]);
        assert_eq!(fitting(&[OpenAi], Api::Models, Vendor::Anthropic), [OpenAi]);
        assert_eq!(fitting(&[Anthropic], Api::Models, Vendor::Usual), [Anthropic]);
        assert_eq!(fitting(&[OpenAi, Gemini], Api::ChatCompletions, Vendor::Gemini), [Gemini]);
        assert_eq!(fitting(&[OpenAi, Gemini], Api::ChatCompletions, Vendor::Usual), [OpenAi]);
        assert_eq!(fitting(&[OpenAi], Api::ChatCompletions, Vendor::Gemini), [OpenAi]);
    }

    #[test]
    fn a_type_speaks_the_family_of_its_name() {
        for kind in BackendType::ALL {
            let family = ApiFamily::ALL.iter().find(|family| family.name == kind.name()).expect("a family");
            assert_eq!(family.apis, kind.apis());
        }
        let all = ApiFamily::ALL.iter().fold(ApiSet::NONE, |all, family| all.with(family.apis));
        assert_eq!(all.iter().count(), Api::ALL.len(), "every API belongs to somebody");
    }
}
