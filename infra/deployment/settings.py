"""The settings of a deployment: their names, and what those mean that only the deployment knows.

`read.py` reads them, `docs/settings.md` is made from them. Defaults stand in cdk.json; what
the others mean stands in `mimir_exporter/settings/variables.py`.
"""

# Settings that go to the function's environment as they are, in capitals.
PASSED_ON = (
    "cluster_name",
    "hostname",
    "port",
    "scheme",
    "path_prefix",
    "metrics_readiness_path",
    "wire_gzip",
    "sigv4_region",
    "sigv4_role_arn",
    "cluster_label_name",
    "split_by_cluster",
    "s3_prefix",
    "role_arn",
    "role_external_id",
    "prometheus_username",
    "prometheus_x_scope_orgid",
    "time_frame",
    "query_step",
    "query_delay",
    "settle_time",
    "backfill_days",
    "initial_backfill_date",
    "retention_days",
    "extra_metrics",
)

PLACE = {
    "stack_name": "several stacks live side by side under different names",
    "account": "where to deploy; needed only to look up a VPC's subnets, by default the shell's",
    "region": "likewise; the stack belongs into the bucket's region",
    "cli_credentials": "deploy with the shell's credentials, not the roles of `cdk bootstrap`",
    "vpc_id": "`vpc-…`; `new` makes a VPC for a trial; `none` runs the functions outside of any, "
    "for an endpoint on the internet",
    "subnet_ids": "with commas between them; by default the VPC's private ones, looked up",
    "security_group_id": "of the functions; by default one is made that lets out to Mimir and AWS "
    "only",
}
THINGS = {
    "s3_bucket": "the bucket's name; `new` makes one: private, encrypted, kept when the stack goes",
    "s3_kms_key_arn": "the key by which an existing bucket encrypts, where it has one of its own",
    "auth_secret_arn": "the secret with the login: an ARN, `new` to make an empty one, `none` to "
    "go without",
    "auth_secret_kms_key_arn": "key of an existing secret that has its own",
    "ca_bundle": "file with the certificates of a private authority, on the machine that deploys; "
    "it is shipped with the function",
}
FUNCTIONS = {
    "memory_mb": "of both functions; 256 is [the cheapest that keeps up](cost.md)",
    "ephemeral_storage_mb": "their `/tmp`, where compressed series wait past 8 MB",
    "timeout_s": "of both functions, up to Lambda's 900 s",
    "architecture": "`arm64` or `x86_64`",
    "python_version": "of both functions",
    "schedule_minutes": "between two regular runs",
    "backfill_concurrency": "windows exported at once in a backfill",
    "log_level": "`DEBUG`, `INFO`, `WARNING` or `ERROR`; saved queries and [logs.md](logs.md) need "
    "`INFO`",
    "log_retention_days": "of the functions' logs; one of the numbers that CloudWatch takes",
}
WATCHING = {
    "alarm_email": "address that the alarms' topic writes to; it has to confirm once",
    "alarm_topic_arn": "an existing SNS topic for the alarms instead; its policy has to let "
    "CloudWatch publish",
    "alarm_lag_s": "seconds of lag at which an alarm rings; by default `TIME_FRAME` + "
    "`SETTLE_TIME` + four times the schedule",
    "dashboard": "make the CloudWatch dashboard, with the coverage map",
    "saved_queries": "make the saved queries of Logs Insights",
    "test_events": "make the shareable test events behind the console's Test button",
}
READING = {
    "reader_principal_arn": "who may assume a role that reads the files and nothing else: an "
    "account's number, or a role's ARN",
    "reader_external_id": "the external id that it has to give; set both or neither",
}

OWN = PLACE | THINGS | FUNCTIONS | WATCHING | READING
