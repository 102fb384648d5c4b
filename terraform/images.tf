# Where the functions' code comes from: images that apply builds, images that are given, or a zip.
locals {
  builds_images = var.image_uris == null && var.function_zip == null

  source_dir = abspath("${path.module}/..")

  # As Lambda calls them, and as Docker does.
  architectures = { arm64 = "linux/arm64", x86_64 = "linux/amd64" }

  # The lock that a function's requirements.txt names. Without the sources there is none, and nothing is built.
  image_locks = {
    for name in local.function_names : name => try(regex("requirements-[a-z-]+[.]txt", file("${local.source_dir}/functions/${name}/requirements.txt")), "")
  }

  # Everything that a function's image is made of; .dockerignore lets the build see nothing else.
  image_sources = {
    for name in local.function_names : name => sort(flatten([
      for pattern in [
        ".dockerignore",
        "functions/Dockerfile",
        "functions/__init__.py",
        "functions/${name}/*.json",
        "functions/${name}/*.py",
        "functions/${name}/requirements.txt",
        "functions/${local.image_locks[name]}",
        "shared/*.pem",
        "shared/*.py",
        "terraform/build_image.sh",
      ] : tolist(fileset(local.source_dir, pattern))
    ]))
  }

  # A tag is the hash of what is in the image, so equal sources are one image and a tag never moves.
  image_tags = {
    for name, files in local.image_sources : name => substr(sha256(join("\n", concat(
      [var.architecture, var.base_image],
      [for file in files : "${filesha256("${local.source_dir}/${file}")} ${file}"],
    ))), 0, 20) if local.builds_images
  }

  image_uris = local.builds_images ? {
    for name, image in data.aws_ecr_image.function : name => "${aws_ecr_repository.function[name].repository_url}@${image.image_digest}"
  } : var.image_uris

  # What changes when a function's code does.
  code_versions = {
    for name in keys(local.functions) : name => var.function_zip != null ? var.function_zip.hash : local.image_uris[name]
  }
}

# Everything else waits for it: a machine that cannot build the images says so before AWS bills anything.
resource "terraform_data" "prerequisites" {
  count = local.builds_images ? 1 : 0

  triggers_replace = local.image_tags

  provisioner "local-exec" {
    command = "sh '${local.source_dir}/terraform/build_image.sh' --check"

    environment = {
      ACCOUNT = local.account
      IMAGES  = join(" ", [for name, tag in local.image_tags : "${var.name}/${name}:${tag}"])
      REGION  = local.region
    }
  }
}

resource "aws_ecr_repository" "function" {
  for_each = local.image_tags

  name                 = "${var.name}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true # the images can be built again from the sources
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

# Lambda fetches an image again from time to time, and a function fails when its image may not be fetched:
# https://docs.aws.amazon.com/lambda/latest/dg/images-create.html. The condition is that of AWS's example there.
# AWS does not document that Lambda sends aws:SourceAccount as well, nor whether the ARN ends with a version.
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

# The deployed image never expires, not even after a return to an old version: a rule cannot expire an image that
# matches the tags of an earlier rule. But it counts it, so the newest three are the deployed image and two others,
# or three others if the deployed image is older. An expired image can be built again from its commit.
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

  # Until the functions run the new image, the policy protects the one that they run.
  depends_on = [aws_lambda_function.this]
}

resource "terraform_data" "image" {
  for_each = local.image_tags

  input            = each.value
  triggers_replace = [aws_ecr_repository.function[each.key].repository_url, each.value]

  provisioner "local-exec" {
    command = "sh '${local.source_dir}/terraform/build_image.sh'"

    environment = {
      FUNCTION   = each.key
      REPOSITORY = aws_ecr_repository.function[each.key].repository_url
      TAG        = each.value
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
