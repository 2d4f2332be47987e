"""The secret with the login to Mimir."""

from aws_cdk import SecretValue, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from .nag import accept


class LoginSecret(Construct):
    """An existing secret by ARN, or one made here: a JSON object without any key yet."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        secret_arn: str | None,
        kms_key_arn: str,
    ) -> None:
        """Without `secret_arn` a secret is made. `kms_key_arn` is "" for AWS's own key."""
        super().__init__(scope, construct_id)
        self._kms_key_arn = kms_key_arn
        self.is_made_here = secret_arn is None
        self.arn = secret_arn or self._make_secret()

    def _make_secret(self) -> str:
        # Later deployments do not touch what a person has put into it: CloudFormation writes the
        # value only when it changes in the template, and here it never does.
        secret = secretsmanager.Secret(
            self,
            "Secret",
            description="Login of the exporter to Mimir: a JSON object of PROMETHEUS_ variables",
            secret_string_value=SecretValue.unsafe_plain_text("{}"),
        )
        accept(
            secret,
            "AwsSolutions-SMG4",
            "The login is issued by Mimir or the proxy before it, which the stack cannot ask for a "
            "new one. Whoever rotates it there writes it here; the function reads it again.",
        )
        # On AWS both Ref and Id are the ARN; CloudFormation look-alikes answer Ref with the name,
        # which no policy matches.
        resource = secret.node.default_child
        assert isinstance(resource, secretsmanager.CfnSecret)  # noqa: S101 - what an L2 is made of
        return resource.attr_id

    def grant(self, role: iam.Role) -> None:
        """Let a function's role read this secret, and decrypt it where it has a key of its own."""
        role.add_to_policy(
            iam.PolicyStatement(
                sid="ReadLogin",
                actions=["secretsmanager:GetSecretValue"],
                resources=[self.arn],
            )
        )
        if self._kms_key_arn:
            via = f"secretsmanager.{Stack.of(self).region}.{Stack.of(self).url_suffix}"
            role.add_to_policy(
                iam.PolicyStatement(
                    sid="DecryptLogin",
                    actions=["kms:Decrypt"],
                    resources=[self._kms_key_arn],
                    conditions={"StringEquals": {"kms:ViaService": via}},
                )
            )
