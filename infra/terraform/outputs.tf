output "cluster" {
  value       = aws_eks_cluster.this.name
  description = "For `aws eks update-kubeconfig --name`; its API is reached from within the network alone."
}

output "postgres" {
  value       = aws_db_instance.index.endpoint
  description = "Host and port of M0_PG_DSN; sslmode=require. The password is in `postgres_secret`."
}

output "postgres_secret" {
  value       = one(aws_db_instance.index.master_user_secret[*].secret_arn)
  description = "Where the password of user m0 lies."
}

output "redis" {
  value       = aws_elasticache_replication_group.this.primary_endpoint_address
  description = "Host of M0_REDIS_URL, rediss://."
}

output "archive_url" {
  value       = "s3://${aws_s3_bucket.archive.bucket}/log"
  description = "archive.url of the chart."
}

output "archive_policy" {
  value       = aws_iam_policy.archive.arn
  description = "For the role of the service account of jobs."
}

output "private_cidrs" {
  value       = values(local.private)
  description = "For networkPolicies of the chart: where Postgres and Redis are."
}
