# Code of the functions: published images that apply copies, images that apply builds, given images, or a zip archive.
locals {
  copies_images    = var.published_images != null
  has_repositories = var.image_uris == null && var.function_zip == null

  source_dir = abspath("${path.module}/..")

  # Lambda's names of the architectures, and Docker's.
  architectures = { arm64 = "linux/arm64", x86_64 = "linux/amd64" }

  # The lock file that a function's requirements.txt refers to; "" if the sources are missing.
  image_locks = {
    for name in local.function_names : name => try(regex("requirements-[a-z-]+[.]txt", file("${local.source_dir}/functions/${name}/requirements.txt")), "")
  }

  # All sources of a function's image; .dockerignore excludes all other files from the build.
  image_sources = {
    for name in local.function_names : name => sort(flatten([
      for pattern in [
        ".dockerignore",
        "functions/Dockerfile",
        "functions/*.py",
        "functions/${name}/*.py",
        "functions/${name}/requirements.txt",
        "functions/${local.image_locks[name]}",
        "shared/*.pem",
        "shared/*.py",
        "terraform/build_image.sh",
      ] : tolist(fileset(local.source_dir, pattern))
    ]))
  }

  # A tag is the hash of the image's sources, so equal sources share an image and a tag never moves.
  built_tags = {
    for name, files in local.image_sources : name => substr(sha256(join("\n", concat(
      [var.architecture, var.base_image],
      [for file in files : "${filesha256("${local.source_dir}/${file}")} ${file}"],
    ))), 0, 20) if local.has_repositories && !local.copies_images
  }

  # The images to copy. If the version of the module is unknown, a precondition in database.tf reports the cause.
  release = coalesce(local.version, "unknown")
  published_images = {
    for name in local.function_names : name => join("", [
      var.published_images.registry, "/", name,
      var.published_images.digests == null ? ":${local.release}" : "@${var.published_images.digests[name]}",
    ]) if local.copies_images
  }

  # The tag depends on the registry and the digest, and has a different format from built tags.
  copied_tags = { for name, image in local.published_images : name => "${local.release}-${substr(sha256(image), 0, 12)}" }

  image_tags = merge(local.built_tags, local.copied_tags)

  image_script = "sh '${local.source_dir}/terraform/${local.copies_images ? "copy" : "build"}_image.sh'"

  image_uris = local.has_repositories ? {
    for name, image in data.aws_ecr_image.function : name => "${aws_ecr_repository.function[name].repository_url}@${image.image_digest}"
  } : var.image_uris

  # A value per function that changes with its code.
  code_versions = {
    for name in keys(local.functions) : name => var.function_zip != null ? var.function_zip.hash : local.image_uris[name]
  }
}

# All other resources depend on this, so apply fails before it creates anything if it cannot build or copy the images.
resource "terraform_data" "prerequisites" {
  count = local.has_repositories ? 1 : 0

  triggers_replace = local.image_tags

  lifecycle {
    precondition {
      condition     = try(var.published_images.version, null) == null || try(var.published_images.version == local.version, false)
      error_message = "published_images.version is ${coalesce(try(var.published_images.version, null), "?")}, but the module's version is ${local.release}: copy version and digests from the page of release ${local.release}."
    }
  }

  provisioner "local-exec" {
    command = "${local.image_script} --check"

    environment = {
      ACCOUNT = local.account
      IMAGES = join(" ", [
        for name, tag in local.image_tags : "${var.name}/${name}:${tag}${local.copies_images ? "=${local.published_images[name]}" : ""}"
      ])
      REGION = local.region
    }
  }
}

resource "aws_ecr_repository" "function" {
  for_each = local.image_tags

  name                 = "${var.name}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true # the images can be built or copied again
  tags                 = local.tags

  image_scanning_configuration {
    scan_on_push = true
  }

  dynamic "encryption_configuration" {
    for_each = var.kms_key_arn[*]

    content {
      encryption_type = "KMS"
      kms_key         = encryption_configuration.value
    }
  }

  depends_on = [terraform_data.prerequisites]
}

# Lambda pulls an image again from time to time, and the function fails if Lambda is not permitted to:
# https://docs.aws.amazon.com/lambda/latest/dg/images-create.html. The condition follows AWS's example there.
# AWS does not document whether Lambda also sends aws:SourceAccount, and whether the ARN ends with a version.
resource "aws_ecr_repository_policy" "function" {
  for_each = aws_ecr_repository.function

  repository = each.value.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Condition = {
        ArnLike = {
          "aws:SourceArn" = [
            for version in ["", ":*"] :
            "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${var.name}-${each.key}${version}"
          ]
        }
      }
    }]
  })
}

# The deployed image never expires, not even after a rollback: a rule cannot expire an image that matches the tags of an
# earlier rule. The rule still counts that image. So ECR keeps the deployed image and two others, or three others if the
# deployed image is older. An expired image can be rebuilt from its commit or copied again.
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html#lp_evaluation_rules
resource "aws_ecr_lifecycle_policy" "function" {
  for_each = aws_ecr_repository.function

  repository = each.value.name

  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Keep the image that is deployed."
        selection    = { tagStatus = "tagged", tagPatternList = [local.image_tags[each.key]], countType = "imageCountMoreThan", countNumber = 1 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "Keep the newest three."
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 3 }
        action       = { type = "expire" }
      },
    ]
  })

  # Until the functions run the new image, the policy must protect the image that they run.
  depends_on = [aws_lambda_function.this]
}

resource "terraform_data" "image" {
  for_each = local.image_tags

  input            = each.value
  triggers_replace = [aws_ecr_repository.function[each.key].repository_url, each.value]

  provisioner "local-exec" {
    command = local.image_script

    # Each script reads some of these.
    environment = {
      FUNCTION   = each.key
      REPOSITORY = aws_ecr_repository.function[each.key].repository_url
      TAG        = each.value
      SOURCE     = lookup(local.published_images, each.key, "")
      PLATFORM   = local.architectures[var.architecture]
      BASE       = var.base_image
      REGION     = local.region
      CONTEXT    = local.source_dir
    }
  }
}

data "aws_ecr_image" "function" {
  for_each = terraform_data.image

  repository_name = aws_ecr_repository.function[each.key].name
  image_tag       = each.value.output
}
