# IAM Roles Anywhere trusts the authorities of one SPIFFE trust domain; each role trusts the SPIFFE IDs that it names.

resource "aws_rolesanywhere_trust_anchor" "this" {
  name    = var.name
  enabled = true
  source {
    source_type = "CERTIFICATE_BUNDLE"
    source_data {
      x509_certificate_data = var.bundle
    }
  }
  lifecycle {
    # SPIRE's BundlePublisher owns it from here on: it adds each new root before that root signs anything. An apply that put
    # the first one back would lock out everybody.
    ignore_changes = [source]
    # A new anchor has another ARN: every configuration and every trust policy would be wrong.
    prevent_destroy = true
  }
}

locals {
  publisher = var.publisher_path == null ? {} : { "${var.name}-publisher" = { paths = [var.publisher_path], policy_arns = [] } }
  roles     = merge(var.roles, local.publisher)
  attached  = merge([for name, role in local.roles : { for arn in role.policy_arns : "${name} ${arn}" => { role = name, arn = arn } }]...)
}

resource "aws_iam_role" "this" {
  for_each             = local.roles
  name                 = each.key
  max_session_duration = var.session_seconds
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "rolesanywhere.amazonaws.com" }
      # All three, or CreateSession is refused: it tags the session with what the certificate says.
      Action = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
      Condition = {
        # The first URI SAN, which in an X.509-SVID is the SPIFFE ID.
        StringEquals = { "aws:PrincipalTag/x509SAN/URI" = [for path in each.value.paths : "spiffe://${var.trust_domain}${path}"] }
        # Without it any trust anchor of the account could name anybody.
        ArnEquals = { "aws:SourceArn" = aws_rolesanywhere_trust_anchor.this.arn }
      }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each   = local.attached
  role       = aws_iam_role.this[each.value.role].name
  policy_arn = each.value.arn
}

resource "aws_iam_role_policy" "publisher" {
  for_each = local.publisher
  name     = "update-trust-anchor"
  role     = aws_iam_role.this[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    # Whoever may do this decides whom the account trusts.
    Statement = [{ Effect = "Allow", Action = "rolesanywhere:UpdateTrustAnchor", Resource = aws_rolesanywhere_trust_anchor.this.arn }]
  })
}

resource "aws_rolesanywhere_profile" "this" {
  name             = var.name
  enabled          = true
  role_arns        = [for role in aws_iam_role.this : role.arn]
  duration_seconds = var.session_seconds
}
