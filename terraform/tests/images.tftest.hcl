# Code of the functions: built, published or given images, or a zip archive. Plans only, because an apply would build or
# copy images.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  function_zip = null
}

run "images_are_built_by_default" {
  command = plan

  assert {
    condition     = keys(terraform_data.image) == keys(local.functions) && keys(aws_ecr_repository.function) == keys(local.functions)
    error_message = "Every function must have its own image and repository."
  }

  assert {
    condition     = terraform_data.prerequisites[0].triggers_replace == local.image_tags
    error_message = "A changed image must run the check that this machine can build it."
  }

  assert {
    condition     = aws_ecr_repository.function["load"].name == "tm-pipeline/load"
    error_message = "A repository's name must contain the stack and the function."
  }

  assert {
    condition = alltrue([
      for repository in aws_ecr_repository.function :
      repository.image_tag_mutability == "IMMUTABLE" && repository.image_scanning_configuration[0].scan_on_push
    ])
    error_message = "Repositories must have immutable tags and scan images."
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.function : length(repository.encryption_configuration) == 0])
    error_message = "Repositories must not use a KMS key by default."
  }

  assert {
    condition = alltrue([
      for name, policy in aws_ecr_lifecycle_policy.function :
      jsondecode(policy.policy).rules[0].selection == { tagStatus = "tagged", tagPatternList = [terraform_data.image[name].input], countType = "imageCountMoreThan", countNumber = 1 }
      # docs/cost.md assumes three images per function.
      && [for rule in jsondecode(policy.policy).rules : rule.selection.countNumber] == [1, 3]
    ])
    error_message = "The deployed image must never expire, and two others must be kept."
  }

  assert {
    condition = local.image_tags["load"] == substr(sha256(join("\n", concat(
      ["x86_64", "public.ecr.aws/lambda/python:3.13"],
      [for file in local.image_sources["load"] : "${filesha256("${path.module}/../${file}")} ${file}"],
    ))), 0, 20)
    error_message = "A tag must be the hash of its image's sources. The runs with other tags compare against it."
  }

  assert {
    condition     = length(distinct(values(local.image_tags))) == length(local.functions) && alltrue([for tag in values(local.image_tags) : can(regex("^[0-9a-f]{20}$", tag))])
    error_message = "Every function must have its own image tag."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : function.package_type == "Image" && function.runtime == null && function.handler == null && function.s3_bucket == null])
    error_message = "A function with an image must not have attributes of a zip archive."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : function.architectures == tolist(["x86_64"])])
    error_message = "The functions must have the default architecture."
  }
}

run "another_architecture_is_another_image" {
  command = plan

  variables {
    architecture = "arm64"
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : function.architectures == tolist(["arm64"])])
    error_message = "var.architecture does not reach the functions."
  }

  assert {
    condition = local.image_tags["load"] != substr(sha256(join("\n", concat(
      ["x86_64", "public.ecr.aws/lambda/python:3.13"],
      [for file in local.image_sources["load"] : "${filesha256("${path.module}/../${file}")} ${file}"],
    ))), 0, 20)
    error_message = "Different architectures must have different tags."
  }
}

run "another_base_is_another_image" {
  command = plan

  variables {
    base_image  = "public.ecr.aws/lambda/python@sha256:0"
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/given"
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.function : [for encryption in repository.encryption_configuration : [encryption.encryption_type, encryption.kms_key]] == [["KMS", "arn:aws:kms:eu-central-1:123456789012:key/given"]]])
    error_message = "var.kms_key_arn does not reach the repositories."
  }

  assert {
    condition = local.image_tags["load"] != substr(sha256(join("\n", concat(
      ["x86_64", "public.ecr.aws/lambda/python:3.13"],
      [for file in local.image_sources["load"] : "${filesha256("${path.module}/../${file}")} ${file}"],
    ))), 0, 20)
    error_message = "Different values of var.base_image must have different tags."
  }
}

run "a_zip" {
  command = plan

  variables {
    function_zip = { bucket = "code", key = "functions.zip", hash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  }

  assert {
    condition     = length(aws_ecr_repository.function) == 0 && length(terraform_data.image) == 0 && length(terraform_data.prerequisites) == 0
    error_message = "With a zip archive no images must be built."
  }

  assert {
    condition = alltrue([
      for function in aws_lambda_function.this : [
        function.package_type, function.runtime, function.s3_bucket, function.s3_key, function.source_code_hash
      ] == ["Zip", "python3.13", "code", "functions.zip", var.function_zip.hash]
    ])
    error_message = "Every function must run the archive of var.function_zip."
  }
}

run "published_images" {
  command = plan

  variables {
    published_images = { registry = "ghcr.io/owner/tm-pipeline" }
  }

  assert {
    condition     = try(local.published_images["load"], "") == "ghcr.io/owner/tm-pipeline/load:${output.version}" && keys(local.published_images) == keys(local.functions)
    error_message = "Apply must copy each function's image of this version from var.published_images."
  }

  assert {
    condition     = local.image_tags["load"] == "${output.version}-${substr(sha256("ghcr.io/owner/tm-pipeline/load:${output.version}"), 0, 12)}" && length(local.built_tags) == 0
    error_message = "A copy's tag must depend on the version and the registry."
  }

  assert {
    condition     = keys(aws_ecr_repository.function) == keys(local.functions) && alltrue([for name, image in terraform_data.image : image.input == local.image_tags[name]])
    error_message = "Every copy must have a repository and its tag."
  }

  assert {
    condition     = terraform_data.prerequisites[0].triggers_replace == local.image_tags
    error_message = "A changed image must run the check that this machine can copy it."
  }

  assert {
    condition = alltrue([
      for name, policy in aws_ecr_lifecycle_policy.function :
      jsondecode(policy.policy).rules[0].selection.tagPatternList == [local.image_tags[name]]
    ])
    error_message = "The deployed image must never expire."
  }

  assert {
    condition     = can(regex("/terraform/copy_image[.]sh'$", local.image_script))
    error_message = "With published images no images must be built."
  }
}

run "given_images" {
  command = plan

  variables {
    image_uris = { for name in ["alert", "api", "load", "migrate", "test", "transform", "trigger", "watch"] : name => "123456789012.dkr.ecr.eu-central-1.amazonaws.com/ci/${name}@sha256:0" }
  }

  assert {
    condition     = length(aws_ecr_repository.function) == 0 && length(terraform_data.image) == 0 && length(terraform_data.prerequisites) == 0
    error_message = "With var.image_uris no images must be built."
  }

  assert {
    condition     = tomap({ for name, function in aws_lambda_function.this : name => function.image_uri }) == var.image_uris
    error_message = "Every function must run its given image."
  }
}

run "published_images_by_digest" {
  command = plan

  variables {
    published_images = {
      registry = "ghcr.io/owner/tm-pipeline"
      version  = run.published_images.version
      digests  = { for name in ["alert", "api", "load", "migrate", "test", "transform", "trigger", "watch"] : name => "sha256:${sha256(name)}" }
    }
  }

  assert {
    condition     = local.published_images["load"] == "ghcr.io/owner/tm-pipeline/load@sha256:${sha256("load")}"
    error_message = "Apply must copy the image with the given digest."
  }

  assert {
    condition     = startswith(local.image_tags["load"], "${output.version}-") && length(distinct(values(local.image_tags))) == length(local.functions)
    error_message = "A copy's tag must depend on the digest."
  }
}

run "digests_of_another_version" {
  command = plan

  variables {
    published_images = {
      registry = "ghcr.io/owner/tm-pipeline"
      version  = "0.0.1"
      digests  = { for name in ["alert", "api", "load", "migrate", "test", "transform", "trigger", "watch"] : name => "sha256:${sha256(name)}" }
    }
  }

  expect_failures = [terraform_data.prerequisites]
}
