# Where the functions' code comes from. Plans only: an apply would build or copy images.

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
    error_message = "Not every function has an image and a repository of its own."
  }

  assert {
    condition     = terraform_data.prerequisites[0].triggers_replace == local.image_tags
    error_message = "An image changes, and nothing checks first that this machine can build it."
  }

  assert {
    condition     = aws_ecr_repository.function["load"].name == "tm-pipeline/load"
    error_message = "A repository's name does not say whose image it holds."
  }

  assert {
    condition = alltrue([
      for repository in aws_ecr_repository.function :
      repository.image_tag_mutability == "IMMUTABLE" && repository.image_scanning_configuration[0].scan_on_push
    ])
    error_message = "A repository's tags may move, or its images are not scanned."
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.function : length(repository.encryption_configuration) == 0])
    error_message = "Images are encrypted with a key although nobody gave one."
  }

  assert {
    condition = alltrue([
      for name, policy in aws_ecr_lifecycle_policy.function :
      jsondecode(policy.policy).rules[0].selection == { tagStatus = "tagged", tagPatternList = [terraform_data.image[name].input], countType = "imageCountMoreThan", countNumber = 1 }
      # docs/cost.md reckons with three images of each function.
      && [for rule in jsondecode(policy.policy).rules : rule.selection.countNumber] == [1, 3]
    ])
    error_message = "The image that is deployed may expire, or not two others are kept."
  }

  assert {
    condition = local.image_tags["load"] == substr(sha256(join("\n", concat(
      ["x86_64", "public.ecr.aws/lambda/python:3.13"],
      [for file in local.image_sources["load"] : "${filesha256("${path.module}/../${file}")} ${file}"],
    ))), 0, 20)
    error_message = "A tag is not the hash of its image's sources: the two tests of other tags are void."
  }

  assert {
    condition     = length(distinct(values(local.image_tags))) == length(local.functions) && alltrue([for tag in values(local.image_tags) : can(regex("^[0-9a-f]{20}$", tag))])
    error_message = "Two functions have the tag of one image."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : function.package_type == "Image" && function.runtime == null && function.handler == null && function.s3_bucket == null])
    error_message = "A function that is an image has what only a zip has."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : function.architectures == tolist(["x86_64"])])
    error_message = "The functions' processors are not the ones that their images are built for."
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
    error_message = "Two architectures share a tag."
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
    error_message = "Two images for var.base_image share a tag."
  }
}

run "a_zip" {
  command = plan

  variables {
    function_zip = { bucket = "code", key = "functions.zip", hash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  }

  assert {
    condition     = length(aws_ecr_repository.function) == 0 && length(terraform_data.image) == 0 && length(terraform_data.prerequisites) == 0
    error_message = "With a zip, images are built all the same."
  }

  assert {
    condition = alltrue([
      for function in aws_lambda_function.this : [
        function.package_type, function.runtime, function.s3_bucket, function.s3_key, function.source_code_hash
      ] == ["Zip", "python3.13", "code", "functions.zip", var.function_zip.hash]
    ])
    error_message = "A function does not run the zip that var.function_zip names."
  }
}

run "images_that_a_release_has_published" {
  command = plan

  variables {
    published_images = { registry = "ghcr.io/owner/tm-pipeline" }
  }

  assert {
    condition     = try(local.published_images["load"], "") == "ghcr.io/owner/tm-pipeline/load:${output.version}" && keys(local.published_images) == keys(local.functions)
    error_message = "What is copied is not each function's image of this version, from var.published_images."
  }

  assert {
    condition     = local.image_tags["load"] == "${output.version}-${substr(sha256("ghcr.io/owner/tm-pipeline/load:${output.version}"), 0, 12)}" && length(local.built_tags) == 0
    error_message = "A copy's tag does not say of which version it is and where it is from: another registry would keep the copy that is there."
  }

  assert {
    condition     = keys(aws_ecr_repository.function) == keys(local.functions) && alltrue([for name, image in terraform_data.image : image.input == local.image_tags[name]])
    error_message = "Not every copy has a repository, and a tag that a change of it replaces."
  }

  assert {
    condition     = terraform_data.prerequisites[0].triggers_replace == local.image_tags
    error_message = "An image changes, and nothing checks first that this machine can copy it."
  }

  assert {
    condition = alltrue([
      for name, policy in aws_ecr_lifecycle_policy.function :
      jsondecode(policy.policy).rules[0].selection.tagPatternList == [local.image_tags[name]]
    ])
    error_message = "The image that is deployed may expire."
  }

  assert {
    condition     = can(regex("/terraform/copy_image[.]sh'$", local.image_script))
    error_message = "Images that are published are built all the same."
  }
}

run "images_from_elsewhere" {
  command = plan

  variables {
    image_uris = { for name in ["alert", "api", "load", "migrate", "test", "transform", "trigger", "watch"] : name => "123456789012.dkr.ecr.eu-central-1.amazonaws.com/ci/${name}@sha256:0" }
  }

  assert {
    condition     = length(aws_ecr_repository.function) == 0 && length(terraform_data.image) == 0 && length(terraform_data.prerequisites) == 0
    error_message = "Images that var.image_uris gives are built all the same."
  }

  assert {
    condition     = tomap({ for name, function in aws_lambda_function.this : name => function.image_uri }) == var.image_uris
    error_message = "A function does not run the image that it was given."
  }
}

run "published_images_by_their_digests" {
  command = plan

  variables {
    published_images = {
      registry = "ghcr.io/owner/tm-pipeline"
      version  = run.images_that_a_release_has_published.version
      digests  = { for name in ["alert", "api", "load", "migrate", "test", "transform", "trigger", "watch"] : name => "sha256:${sha256(name)}" }
    }
  }

  assert {
    condition     = local.published_images["load"] == "ghcr.io/owner/tm-pipeline/load@sha256:${sha256("load")}"
    error_message = "What is copied is not what the digest names."
  }

  assert {
    condition     = startswith(local.image_tags["load"], "${output.version}-") && length(distinct(values(local.image_tags))) == length(local.functions)
    error_message = "Another digest would keep the copy that is there."
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
