"""The secret with the credentials for Mimir."""

from aws_cdk import SecretValue, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from .nag import accept


class CredentialsSecret(Construct):
    """An existing secret, or one made here: a JSON object without any key yet."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        secret: secretsmanager.ISecret | None,
        key: kms.IKey | None,
    ) -> None:
        """Without `secret` one is made. `key` is what encrypts a secret that does not know it."""
        super().__init__(scope, construct_id)
        self.is_made_here = secret is None
        self.secret = secret or self._make_secret(key)
        self._key = key or self.secret.encryption_key
        if secret is None:
            self.arn = _id_of(self.secret)
        else:
            self.arn = secret.secret_full_arn or secret.secret_arn
        # A secret that is known by its name alone lacks the six characters at the end.
        whole = self.is_made_here or self.secret.secret_full_arn
        self._pattern = self.arn if whole else f"{self.arn}-??????"

    def _make_secret(self, key: kms.IKey | None) -> secretsmanager.Secret:
        # Later deployments do not touch what an operator has put into it: CloudFormation writes
        # the value only when it changes in the template, and here it never does.
        secret = secretsmanager.Secret(
            self,
            "Secret",
            description="Credentials for Mimir: a JSON object of PROMETHEUS_ variables",
            secret_string_value=SecretValue.unsafe_plain_text("{}"),
            encryption_key=key,
        )
        accept(
            secret,
            "AwsSolutions-SMG4",
            "The credentials are issued by Mimir or the proxy before it, which the stack cannot "
            "ask for new ones. Whoever rotates them there writes them here, and the function reads "
            "them again.",
        )
        return secret

    def read_statement(self) -> iam.PolicyStatement:
        """The right to read it."""
        return iam.PolicyStatement(
            sid="ReadLogin", actions=["secretsmanager:GetSecretValue"], resources=[self._pattern]
        )

    def grant(self, role: iam.Role) -> None:
        """Let a function's role read this secret, and decrypt it where it has a key of its own."""
        role.add_to_policy(self.read_statement())
        if self._key is not None:
            via = f"secretsmanager.{Stack.of(self).region}.{Stack.of(self).url_suffix}"
            role.add_to_policy(
                iam.PolicyStatement(
                    sid="DecryptLogin",
                    actions=["kms:Decrypt"],
                    resources=[self._key.key_arn],
                    conditions={"StringEquals": {"kms:ViaService": via}},
                )
            )


def _id_of(secret: secretsmanager.ISecret) -> str:
    # On AWS both Ref and Id are the ARN; CloudFormation look-alikes answer Ref with the name,
    # which no policy matches.
    resource = secret.node.default_child
    assert isinstance(resource, secretsmanager.CfnSecret)  # noqa: S101 - what an L2 is made of
    return resource.attr_id
