# Fails the destruction of a protected stack before anything is removed. Terraform by itself would remove everything that
# AWS does not protect, and only then fail: the functions, their logs, the API, and the database's only instance, which
# AWS deletes although the cluster is protected (docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_DeleteCluster.html).
resource "terraform_data" "protection" {
  input = var.deletion_protection

  provisioner "local-exec" {
    when = destroy
    # For sh, and for cmd on Windows.
    command = self.input ? "echo deletion_protection is on, so nothing was removed. Apply deletion_protection = false first, then destroy. && exit 1" : "exit 0"
  }

  # Whatever no other resource depends on, and so everything: Terraform destroys in the opposite order. Not
  # aws_lambda_invocation.migrate: if that fails on the first apply, the stack must be protected all the same, and to
  # destroy it changes nothing on AWS. The next apply calls it again.
  depends_on = [
    aws_api_gateway_method_settings.throttle,
    aws_api_gateway_usage_plan_key.lookup,
    aws_cloudwatch_dashboard.this,
    aws_cloudwatch_event_target.alert,
    aws_cloudwatch_event_target.keep_active,
    aws_cloudwatch_event_target.next,
    aws_cloudwatch_event_target.watch,
    aws_default_security_group.this,
    aws_ecr_lifecycle_policy.function,
    aws_lambda_permission.api,
    aws_s3_bucket_lifecycle_configuration.this,
    aws_s3_bucket_notification.landing,
    aws_s3_bucket_ownership_controls.this,
    aws_s3_bucket_policy.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
    aws_sns_topic_policy.alerts,
    aws_sns_topic_subscription.email,
    aws_sns_topic_subscription.endpoint,
    aws_sns_topic_subscription.queue,
    aws_wafv2_web_acl_association.lookup,
  ]
}
