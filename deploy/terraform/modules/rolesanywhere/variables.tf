variable "name" {
  description = "Name of the trust anchor and of the profile."
  type        = string
  default     = "spire"
}

variable "trust_domain" {
  description = "The SPIFFE trust domain, such as example.org."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9._-]+$", var.trust_domain))
    error_message = "A trust domain is a name such as example.org: no scheme, no path, no capitals."
  }
}

variable "bundle" {
  description = "The root certificates of the trust domain in PEM, at most two: `spire-server bundle show`, or the upstream authority's root. Only for the first apply."
  type        = string
  validation {
    condition     = can(regex("^\\s*-----BEGIN CERTIFICATE-----", var.bundle)) && length(regexall("-----BEGIN CERTIFICATE-----", var.bundle)) <= 2
    error_message = "One or two certificates in PEM: a trust anchor takes no more."
  }
}

variable "roles" {
  description = "Roles by name: the SPIFFE IDs that may have one, as paths in the trust domain, and the policies that it gives."
  type = map(object({
    paths       = list(string)
    policy_arns = optional(list(string), [])
  }))
  validation {
    condition     = alltrue([for role in var.roles : length(role.paths) > 0 && alltrue([for path in role.paths : can(regex("^(/[A-Za-z0-9._-]+)+$", path))])])
    error_message = "Each role names at least one path, such as /app. There are no wildcards: whoever has the SPIFFE ID has the role."
  }
}

variable "session_seconds" {
  description = "Longest life of a session. Under an hour SDKs renew at every call."
  type        = number
  default     = 3600
  validation {
    condition     = var.session_seconds >= 3600 && var.session_seconds <= 43200
    error_message = "From 3600, an hour, to 43200, twelve."
  }
}

variable "publisher_path" {
  description = "Path of the SPIFFE ID of whoever writes SPIRE's new roots into the trust anchor; left out where SPIRE server has a role of its own."
  type        = string
  default     = null
}
