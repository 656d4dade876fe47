//! What an authority is asked about a call: everything that its answer may depend on.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::guard::{Credential, check};
use crate::header::SECRET_KEY;
use crate::reject::Reject;

/// See the module. `Debug` shows no secret.
#[derive(Clone)]
pub struct Question<'a> {
    pub(in crate::guard) credential: Credential<'a>,
    /// The client's `SecretKey`.
    pub(in crate::guard) secret: Option<HeaderValue>,
    /// The organization that the client names.
    pub(in crate::guard) organization: Option<HeaderValue>,
    /// The model, where the authority decides by it.
    pub(in crate::guard) model: Option<Cow<'a, str>>,
}

impl<'a> Question<'a> {
    /// What a request asks before its body is read.
    ///
    /// # Errors
    /// As [`Credential::find`].
    pub(in crate::guard) fn of(headers: &'a HeaderMap, uri: &'a Uri, names: &[HeaderName]) -> Result<Self, Reject> {
        Ok(Self {
            credential: Credential::find(headers, uri)?,
            secret: headers.get(SECRET_KEY).cloned(),
            organization: check::named_organization(headers, names).cloned(),
            model: None,
        })
    }

    /// The key that is asked about.
    pub fn credential(&self) -> &Credential<'a> {
        &self.credential
    }

    /// The same, about a model.
    pub(in crate::guard) fn about<'m>(&self, model: &'m str) -> Question<'m>
    where
        'a: 'm,
    {
        Question { model: Some(Cow::Borrowed(model)), ..self.clone() }
    }

    pub(in crate::guard) fn into_owned(self) -> Question<'static> {
        let Self { credential, secret, organization, model } = self;
        let model = model.map(|model| Cow::Owned(model.into_owned()));
        Question { credential: credential.into_owned(), secret, organization, model }
    }
}

impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("organization", &self.organization)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}
