# Fails the destruction of a protected stack before anything is removed. Without this resource, Terraform first removes
# everything that AWS does not protect and then fails. This includes the functions, their logs, the API, and the only
# instance of the database, which AWS deletes although the cluster is protected
# (docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_DeleteCluster.html).
resource "terraform_data" "protection" {
  input = var.deletion_protection

  provisioner "local-exec" {
    when = destroy
    # The command works in sh and in cmd on Windows.
    command = self.input ? "echo deletion_protection is true, so nothing was removed. Apply deletion_protection = false first, then destroy. && exit 1" : "exit 0"
  }

  # All resources that no other resource depends on: Terraform destroys in the reverse order, so this resource is
  # destroyed first. aws_lambda_invocation.migrate is left out: if it fails on the first apply, the stack must be
  # protected too. Destroying it changes nothing on AWS, and the next apply invokes it again.
  depends_on = [
    aws_api_gateway_method_settings.throttle,
    aws_api_gateway_usage_plan_key.lookup,
    aws_cloudwatch_dashboard.this,
    aws_cloudwatch_event_target.alert,
    aws_cloudwatch_event_target.keep_active,
    aws_cloudwatch_event_target.landing,
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
