//! How the provider is asked: with a bound on the time and on the bytes of each answer, and never by way of
//! somebody else.

use std::pin::Pin;
use std::time::Duration;

use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse, http};

use super::Error;

/// Bytes of any answer: keys with their certificates take some tens of thousands.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Asks the provider.
pub(super) struct Asker(reqwest::Client);

impl Asker {
    /// Gives each answer `patience`, or as long as all servers of others are given.
    pub(super) fn new(patience: Option<Duration>) -> Result<Self, Error> {
        let mut builder = crate::outbound::client();
        if let Some(patience) = patience {
            builder = builder.timeout(patience);
        }
        builder.build().map(Self).map_err(|error| Error::Unfit(error.to_string()))
    }

    /// What is at `url`, as `bearer` sees it.
    pub(super) async fn get(&self, url: &str, bearer: Option<&str>) -> Result<Vec<u8>, Error> {
        let mut request = self.0.get(url).header(http::header::ACCEPT, "application/json");
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        let request = request.build().map_err(|error| away(url, &error))?;
        let answer = self.execute(request).await?;
        if answer.status() != http::StatusCode::OK {
            return Err(Error::Away(format!("{url}: {}", answer.status())));
        }
        Ok(answer.into_body())
    }

    async fn execute(&self, request: reqwest::Request) -> Result<HttpResponse, Error> {
        let url = request.url().to_string();
        let mut answer = self.0.execute(request).await.map_err(|error| away(&url, &error))?;
        let mut response = HttpResponse::default();
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        while let Some(chunk) = answer.chunk().await.map_err(|error| away(&url, &error))? {
            let body = response.body_mut();
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                let why = format!("{url}: its answer is longer than {ANSWER_BYTES_MAX} bytes");
                return Err(Error::Away(why));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(response)
    }
}

/// The answer to a request, whatever its status.
impl<'c> AsyncHttpClient<'c> for Asker {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Error>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let url = request.uri().to_string();
            let request =
                reqwest::Request::try_from(request).map_err(|error| away(&url, &error))?;
            self.execute(request).await
        })
    }
}

/// What went wrong, down to its cause; no URL of ours has a secret in it.
fn away(url: &str, error: &reqwest::Error) -> Error {
    let mut why = url.to_owned();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        why = format!("{why}: {error}");
        cause = error.source();
    }
    Error::Away(why)
}
