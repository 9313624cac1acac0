variable "environment" {
  type        = string
  description = "staging or prod: part of every name, and what the chart's values file is called."
  validation {
    condition     = contains(["staging", "prod"], var.environment)
    error_message = "environment is staging or prod; on one machine there is Compose."
  }
}

variable "region" {
  type        = string
  description = "Where all of it lies."
}

variable "zones" {
  type        = list(string)
  description = "Availability zones, three of them: pods, databases and brokers are spread over them."
  validation {
    condition     = length(var.zones) == 3
    error_message = "Name three zones of the region."
  }
}

variable "vpc_cidr" {
  type        = string
  default     = "10.64.0.0/16"
  description = "Addresses of the network; each zone gets two parts of it."
}

variable "kubernetes_version" {
  type        = string
  default     = "1.34"
  description = "Of the cluster; the chart needs 1.27 or newer."
}

variable "operators" {
  type        = list(string)
  description = "ARNs of who may administer the cluster."
}

variable "service_nodes" {
  type        = object({ type = string, min = number, max = number })
  default     = { type = "m7i.large", min = 3, max = 9 }
  description = "Nodes for everything but signers; see docs/operations/capacity.md."
}

variable "signer_nodes" {
  type        = object({ type = string, count = number })
  default     = { type = "m7i.large", count = 3 }
  description = "Nodes for signers alone."
}

variable "postgres" {
  type        = object({ class = string, storage_gb = number })
  default     = { class = "db.m7g.large", storage_gb = 50 }
  description = "The index; it can be made again from log and chain."
}

variable "redis_node" {
  type        = string
  default     = "cache.t4g.small"
  description = "What caches."
}

variable "redis_password" {
  type        = string
  sensitive   = true
  description = "16 to 128 letters and digits, part of M0_REDIS_URL; give it as TF_VAR_redis_password. It is in the state: keep that encrypted."
}
