"""Errors of the endpoint: credentials, connection, HTTP statuses, and answers to queries."""

from . import (
    ErrorKind,
    ExportError,
    OutOfTimeError,
    QueryError,
    RefusedError,
    RejectedError,
    SettingsError,
    StopRunError,
    TooLargeError,
    TooManySeriesError,
    TryLaterError,
    TryLaterOrSplitError,
    UnclearRefusalError,
)

# The connection.
CANNOT_CONNECT = ErrorKind(
    "cannot_connect",
    TryLaterError,
    "Cannot connect to {origin}",
    "check HOSTNAME, PORT, SCHEME and that the function's subnets and security group reach it",
    "refused: nothing listens there; timed out: no route, or a security group or a network policy "
    "in between; not resolved: the name is unknown inside the VPC (a private hosted zone?)",
)
ENDPOINT_TIMED_OUT = ErrorKind(
    "endpoint_timed_out",
    TryLaterOrSplitError,
    "{origin} timed out",
    "check the load of Mimir, and that nothing between it and the function drops packets",
    "Mimir is overloaded, or the query takes longer than the endpoint allows",
)
ANSWER_INTERRUPTED = ErrorKind(
    "answer_interrupted",
    TryLaterOrSplitError,
    "The connection to {origin} broke off within an answer",
    "check the time-outs and limits of the gateway and load balancer in front of Mimir",
    "a proxy ends long answers, or Mimir restarted",
)
CERTIFICATE_EXPIRED = ErrorKind(
    "certificate_expired",
    StopRunError,
    "The certificate of {origin} has expired",
    "renew it on the server",
)
CERTIFICATE_NOT_YET_VALID = ErrorKind(
    "certificate_not_yet_valid",
    StopRunError,
    "The certificate of {origin} is not valid yet",
    "check its dates on the server",
)
CERTIFICATE_OTHER_HOST = ErrorKind(
    "certificate_other_host",
    StopRunError,
    "The certificate of {origin} is for another host",
    "set HOSTNAME to a name in the certificate, or add this name to it",
)
CERTIFICATE_UNKNOWN_CA = ErrorKind(
    "certificate_unknown_ca",
    StopRunError,
    "The certificate of {origin} is signed by an unknown CA",
    "set CA_BUNDLE (ca_bundle in a deployment) to your own CA's certificate",
    "a private CA signs the certificates of the endpoint",
)
CERTIFICATE_NOT_IN_BUNDLE = ErrorKind(
    "certificate_not_in_bundle",
    StopRunError,
    "The certificate of {origin} is signed by a CA that is not in CA_BUNDLE",
    "add the certificate of the CA that signed it to that file",
)
INVALID_CA_BUNDLE = ErrorKind(
    "invalid_ca_bundle",
    SettingsError,
    "Invalid CA_BUNDLE {value!r}: expected a file of PEM certificates",
    "check the path and the contents of that file",
)
HTTPS_EXPECTED = ErrorKind(
    "https_expected",
    StopRunError,
    "The endpoint {url} expects HTTPS",
    "set SCHEME=https",
)
HTTP_EXPECTED = ErrorKind(
    "http_expected",
    StopRunError,
    "The endpoint {origin} does not use HTTPS",
    "set SCHEME=http, or set PORT to its HTTPS port",
)
CLIENT_CERTIFICATE_REQUIRED = ErrorKind(
    "client_certificate_required",
    StopRunError,
    "The endpoint {url} requires a client certificate, and got none or another than it accepts",
    "store the certificate and its key in the secret as PROMETHEUS_TLS_CERT and PROMETHEUS_TLS_KEY",
)
CLIENT_CERTIFICATE_REFUSED = ErrorKind(
    "client_certificate_refused",
    StopRunError,
    "The endpoint {url} ended the TLS handshake: no client certificate is configured, or it does "
    "not accept this one",
    "check PROMETHEUS_TLS_CERT and PROMETHEUS_TLS_KEY in the secret, that a CA that the endpoint "
    "trusts signed the certificate, and that it has not expired",
)
INVALID_CLIENT_CERTIFICATE = ErrorKind(
    "invalid_client_certificate",
    SettingsError,
    "Invalid PROMETHEUS_TLS_CERT or PROMETHEUS_TLS_KEY: not a certificate with its own key",
    "set them to PEM texts that belong together, the key without a password",
)
NOT_HTTP = ErrorKind(
    "not_http",
    TryLaterError,
    "The endpoint {origin} does not speak HTTP/1.1",
    "set PORT to the one of the HTTP API",
    "PORT is that of gRPC, of SSH or of another service",
)
PROXY_FAILED = ErrorKind(
    "proxy_failed",
    TryLaterError,
    "Cannot connect to {origin} through the proxy {proxy}",
    "check PROMETHEUS_PROXY_URL, or HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the function, and that "
    "the proxy lets the function reach that host and port",
)

# HTTP statuses.
AUTHENTICATION_FAILED = ErrorKind(
    "authentication_failed",
    StopRunError,
    "Authentication failed (HTTP 401) at {url}",
    "check the PROMETHEUS_ credentials, in the secret or in the environment",
    "wrong or rotated values in the secret: fill it with the stack's output `SecretCommand`",
)
NO_TENANT = ErrorKind(
    "no_tenant",
    StopRunError,
    "No tenant (HTTP 401) at {url}",
    "set PROMETHEUS_X_SCOPE_ORGID, in the secret or in the environment, to the tenant",
    "Mimir and Cortex with multi-tenancy require the header X-Scope-OrgID",
)
ACCESS_DENIED = ErrorKind(
    "access_denied",
    RefusedError,
    "Access denied (HTTP 403) at {url}",
    "check the rights of these credentials, the tenant and the rules of the gateway",
    "the credentials are valid and may not read this tenant, or a firewall rejects the request",
)
API_NOT_FOUND = ErrorKind(
    "api_not_found",
    RefusedError,
    "No Prometheus API (HTTP {status}) at {url}",
    "check PATH_PREFIX (Mimir's is prometheus), HOSTNAME and PORT",
    "PATH_PREFIX is missing or wrong",
)
METHOD_NOT_ALLOWED = ErrorKind(
    "method_not_allowed",
    RefusedError,
    "Method not allowed (HTTP 405) at {url}",
    "let the gateway in front of Mimir pass on POST requests to /api/v1/query and "
    "/api/v1/query_range, and check PATH_PREFIX",
)
NOT_ACCEPTABLE = ErrorKind(
    "not_acceptable",
    RefusedError,
    "Not acceptable (HTTP 406) at {url}",
    "set WIRE_GZIP=false if the gateway allows no gzip, and check its rules on headers",
)
PROXY_AUTHENTICATION_REQUIRED = ErrorKind(
    "proxy_authentication_required",
    StopRunError,
    "Proxy authentication required (HTTP 407) at {url}",
    "store the proxy's URL with its user and password in the secret as PROMETHEUS_PROXY_URL",
)
REDIRECTED = ErrorKind(
    "redirected",
    RefusedError,
    "Redirected (HTTP {status}) from {url} to {location}: redirects are not followed, they would "
    "carry the credentials to another host",
    "set SCHEME, HOSTNAME, PORT and PATH_PREFIX to the address behind the redirect",
    "SCHEME is http and the gateway wants https, or the gateway redirects to a login page",
)
ENDPOINT_NOT_READY = ErrorKind(
    "endpoint_not_ready",
    StopRunError,
    "The endpoint is not ready (HTTP {status}) at {url}, and answers no query",
    "no action needed if Mimir is starting: the next run tries again; otherwise see Mimir's log, "
    "and check METRICS_READINESS_PATH",
)
ENDPOINT_NOT_READY_IN_TIME = ErrorKind(
    "endpoint_not_ready_in_time",
    StopRunError,
    "The endpoint was not ready within this invocation",
    "see Mimir's log; nothing was exported, the next run tries again",
)
QUERIES_REJECTED = ErrorKind(
    "queries_rejected",
    StopRunError,
    "The endpoint rejects every query",
    "check HOSTNAME, PORT and PATH_PREFIX, and that it is a Prometheus HTTP API",
)
GATEWAY_ERROR = ErrorKind(
    "gateway_error",
    TryLaterOrSplitError,
    "Gateway error (HTTP {status}) at {url}",
    "check the gateway and its time-out, and the load of Mimir",
)
MIMIR_UNAVAILABLE = ErrorKind(
    "mimir_unavailable",
    TryLaterError,
    "Mimir is temporarily unavailable (HTTP {status}) at {url}",
    "check the health and the load of Mimir",
    "Mimir is restarting or overloaded, or one of its stores is down",
)
STORE_UNAVAILABLE = ErrorKind(
    "store_unavailable",
    TryLaterOrSplitError,
    "A store of the source did not answer the query (HTTP {status}) at {url}",
    "check the health and the load of the stores behind it",
    "Thanos with partial_response=false, while a store restarts or times out",
)
RATE_LIMITED = ErrorKind(
    "rate_limited",
    TryLaterError,
    "Mimir limits the rate of queries (HTTP {status}) at {url}",
    "set a longer QUERY_DELAY and a lower backfill_concurrency, or raise Mimir's limit",
)

# Queries and their answers.
TOO_MANY_SERIES = ErrorKind(
    "too_many_series",
    TooManySeriesError,
    "The query selects too many series (HTTP {status}) at {url}",
    "raise Mimir's limit on series per query",
)
QUERY_TOO_LARGE = ErrorKind(
    "query_too_large",
    TooLargeError,
    "The query is too large (HTTP {status}) at {url}",
    "set a smaller TIME_FRAME, or raise Mimir's limit",
)
QUERY_EXCEEDS_LIMITS = ErrorKind(
    "query_exceeds_limits",
    RejectedError,
    "The query exceeds Mimir's limits even for one step of one cluster",
    "raise Mimir's limit, or narrow the query; a query of your own needs $matchers in every "
    "selector, and the cluster label in its result, to be split by cluster",
)
QUERY_REJECTED = ErrorKind(
    "query_rejected",
    RejectedError,
    "Mimir rejects the query (HTTP {status}) at {url}",
    "correct the query, or remove the metric from EXTRA_METRICS",
)
QUERY_REFUSED = ErrorKind(
    "query_refused",
    UnclearRefusalError,
    "The source refuses the query, and smaller ones too (HTTP {status}) at {url}",
    "correct the query, or remove the metric from EXTRA_METRICS; if the source limits the size of "
    "an answer, raise that limit",
)
NOT_SPLIT_BY_CLUSTER = ErrorKind(
    "not_split_by_cluster",
    ExportError,
    "A query for some clusters returned series of {cluster}: its result depends on the other "
    "clusters, or lacks the label {label}",
    "keep the label in the result of a query of your own, or leave $matchers out of it; until then "
    "it is split in time only",
)
NOT_SPLIT_BY_WINDOW = ErrorKind(
    "not_split_by_window",
    ExportError,
    "An answer for several windows cannot be split by window",
    "none is needed: the windows are queried one by one",
)
ANSWER_TOO_LARGE = ErrorKind(
    "answer_too_large",
    TryLaterError,
    "The answer of {url} has more than {limit} bytes",
    "check that HOSTNAME, PORT and PATH_PREFIX name a Prometheus API",
)
ANSWER_TRUNCATED = ErrorKind(
    "answer_truncated",
    TryLaterError,
    "Truncated JSON response from {url}",
    "check the gateway in front of Mimir",
)
NOT_PROMETHEUS = ErrorKind(
    "not_prometheus",
    RefusedError,
    "Not a Prometheus API response (a login page?) from {url}",
    "check HOSTNAME, PORT, PATH_PREFIX and the credentials",
)
ANSWER_IS_ERROR = ErrorKind(
    "answer_is_error",
    TryLaterError,
    "Mimir answered HTTP 200 with an error",
    "see Mimir's log",
)
PARTIAL_ANSWER = ErrorKind(
    "partial_answer",
    TryLaterError,
    "Partial response: data may be missing",
    "check the stores and the zones of the source: a store that does not answer causes this",
)
ANSWER_UNREADABLE = ErrorKind(
    "answer_unreadable",
    TryLaterOrSplitError,
    "Invalid or truncated response from Mimir",
    "check the gateway in front of Mimir, its time-outs and its limits",
)
ANSWER_IS_PAGE = ErrorKind(
    "answer_is_page",
    TryLaterError,
    "Not a Prometheus API response (a login page?)",
    "check HOSTNAME, PORT, PATH_PREFIX and the credentials",
)
UNKNOWN_CONTENT_CODING = ErrorKind(
    "unknown_content_coding",
    TryLaterError,
    "The response has the Content-Encoding {coding!r}, which was not requested",
    "check the gateway in front of the source, which must send gzip or no encoding; or set "
    "WIRE_GZIP=false",
)
GZIP_TRAILING_DATA = ErrorKind(
    "gzip_trailing_data",
    TryLaterError,
    "The response has trailing data after the gzip stream",
    "check the gateway in front of Mimir, or set WIRE_GZIP=false",
)
GZIP_INVALID = ErrorKind(
    "gzip_invalid",
    TryLaterOrSplitError,
    "Invalid gzip stream in the response",
    "check the gateway in front of Mimir, or set WIRE_GZIP=false",
)
GZIP_TRUNCATED = ErrorKind(
    "gzip_truncated",
    TryLaterOrSplitError,
    "Truncated gzip stream in the response",
    "check the gateway in front of Mimir, its time-outs and its limits",
)
NO_TEMPORARY_SPACE = ErrorKind(
    "no_temporary_space",
    QueryError,
    "No space left for the compressed answer in {folder}",
    "set a larger ephemeral_storage_mb, or a smaller TIME_FRAME; on a machine of your own, set "
    "TMPDIR to a folder with more space",
    "the metric-window is larger than `/tmp`",
)
QUERY_TIMED_OUT = ErrorKind(
    "query_timed_out",
    TryLaterError,
    "The query timed out after {seconds:.0f} s",
    "run the check again, or check the load of Mimir",
)
QUERY_OUT_OF_TIME = ErrorKind(
    "query_out_of_time",
    OutOfTimeError,
    "Invocation time budget exhausted while waiting for Mimir",
    "no action needed: the next run continues",
)

# Credentials.
SECRET_UNREADABLE = ErrorKind(
    "secret_unreadable",
    StopRunError,
    "Cannot read the secret {arn}",
    "check AUTH_SECRET_ARN, that the function's role may read the secret and use its KMS key, that "
    "the VPC has an endpoint for Secrets Manager, and that the secret has a value",
    "no route to Secrets Manager: an interface endpoint for `secretsmanager`; a KMS key of its "
    "own: `auth_secret_kms_key_arn`",
)
INVALID_SECRET = ErrorKind(
    "invalid_secret",
    SettingsError,
    "Invalid secret {arn}: {problem}",
    "store a JSON object whose keys are among {names}, such as {example}",
    "the value was pasted by itself, without its name",
)
INVALID_CREDENTIALS = ErrorKind(
    "invalid_credentials",
    SettingsError,
    "Invalid {name} in {source}: {problem}",
    "set it to {expected}",
)
INCOMPLETE_CREDENTIALS = ErrorKind(
    "incomplete_credentials",
    SettingsError,
    "{given} is set in {source} and {missing} is not",
    "set both",
)
CONFLICTING_CREDENTIALS = ErrorKind(
    "conflicting_credentials",
    SettingsError,
    "Conflicting credentials in {source}: {names} are set",
    "configure exactly one method",
)
CONFLICTING_SIGNATURE = ErrorKind(
    "conflicting_signature",
    SettingsError,
    "Conflicting credentials: both SigV4 and {method} are configured",
    "use one: remove SIGV4_REGION or the PROMETHEUS_ credentials",
)
OAUTH2_REFUSED = ErrorKind(
    "oauth2_refused",
    StopRunError,
    "The authorization server refuses a token (HTTP {status}) at {url}",
    "check PROMETHEUS_OAUTH2_CLIENT_ID, PROMETHEUS_OAUTH2_CLIENT_SECRET, PROMETHEUS_OAUTH2_SCOPES "
    "and PROMETHEUS_OAUTH2_ENDPOINT_PARAMS, and that the client may use client credentials",
    "the client's secret has expired, or Entra ID lacks the scope https://…/.default",
)
OAUTH2_UNAVAILABLE = ErrorKind(
    "oauth2_unavailable",
    TryLaterError,
    "The authorization server is temporarily unavailable (HTTP {status}) at {url}",
    "no action needed if it recovers: retried at the next run; otherwise check its health",
)
OAUTH2_UNREACHABLE = ErrorKind(
    "oauth2_unreachable",
    TryLaterError,
    "Cannot connect to the authorization server {url}",
    "check PROMETHEUS_OAUTH2_TOKEN_URL, and that the function's subnets reach it: a public one "
    "needs a NAT gateway or a proxy",
)
OAUTH2_INVALID_ANSWER = ErrorKind(
    "oauth2_invalid_answer",
    StopRunError,
    "No access token in the answer of the authorization server {url}",
    "check PROMETHEUS_OAUTH2_TOKEN_URL: the token endpoint, not the issuer's address",
)
SIGNER_ROLE_DENIED = ErrorKind(
    "signer_role_denied",
    StopRunError,
    "Cannot assume the role {arn} to sign requests",
    "check SIGV4_ROLE_ARN, the role's trust policy and that the VPC has an endpoint for STS",
)
NO_AWS_CREDENTIALS_TO_SIGN = ErrorKind(
    "no_aws_credentials_to_sign",
    StopRunError,
    "SIGV4_REGION is set and there are no AWS credentials to sign with",
    "give the process a role or keys",
)

# Answers without series.
EMPTY_UNCONFIRMED = ErrorKind(
    "empty_unconfirmed",
    QueryError,
    "No series, and the older window {older}, which had some, has none at the source either",
    "no action needed: retried at the next run, and a gap after five times; if it is one, check "
    "the source's retention and its max_query_lookback",
    "the source has forgotten that time",
)
FILES_NOT_EMPTIED = ErrorKind(
    "files_not_emptied",
    QueryError,
    "No series for an exported window, and the source has nothing else of that time either",
    "no action needed for the files, which are unchanged; to export the window again, raise the "
    "source's retention and its max_query_lookback",
    "the source has forgotten that time, or limits how far back one may ask",
)
NOTHING_LEFT = ErrorKind(
    "nothing_left",
    QueryError,
    "The source has nothing left of this metric-window: it has forgotten that time",
    "raise the source's retention or its max_query_lookback and export the window again, or "
    "accept the gap with {event}",
    "a gap that was not fixed within the source's retention",
)
ANSWER_OUT_OF_RANGE = ErrorKind(
    "answer_out_of_range",
    QueryError,
    "The answer has samples from {first} to {last}, outside of the window {window}",
    "check the gateway in front of the source: the range of a query must reach it as it was sent",
    "a cache or a gateway that aligns ranges to steps of its own",
)
EXPORTED_IN_PART = ErrorKind(
    "exported_in_part",
    QueryError,
    "Exported in part, from {begins} on: the source had moved the start of the range",
    "raise the source's max_query_lookback or its retention, and it is retried; where the rest is "
    "gone, accept the gap with {event}",
    "the window lies at the border of the source's retention",
)
BEGINS_LATE = ErrorKind(
    "begins_late",
    QueryError,
    "No metric has anything before {begins}: exported from there on, and in part if the source has "
    "moved the start of the range",
    "no action needed: the next run looks again, and takes it for the whole where it has not moved",
    "the source is new, or its retention ends here",
)
MORE_AT_SOURCE = ErrorKind(
    "more_at_source",
    QueryError,
    "Exported in part: the source had more than the files have, and does not give it any more",
    "no action needed while the source may have it again: it is retried; to take what it has now, "
    "reexport the window with force; otherwise accept the gap with {event}",
    "late data that the source forgot before it was exported",
)
