# pROC's and survey's figures of the films that auc.py drew. Called by auc.py: Rscript auc.R in.json out.json
suppressMessages({library(pROC); library(survey); library(jsonlite)})
args <- commandArgs(trailingOnly = TRUE)
films <- read_json(args[1], simplifyVector = TRUE)

number <- function(x) if (length(x) == 0 || is.na(x) || !is.finite(x)) NULL else as.numeric(x)
curve <- function(positive, scores) roc(positive, scores, direction = "<", levels = c(FALSE, TRUE), quiet = TRUE)
of_auc <- function(case) {
  first <- curve(case$positive, case$first)
  second <- curve(case$positive, case$second)
  one <- function(roc) suppressWarnings(list(
    auc = as.numeric(auc(roc)), variance = number(var(roc)), wald = as.numeric(ci.auc(roc, method = "delong"))[c(1, 3)],
    wald_90 = as.numeric(ci.auc(roc, method = "delong", conf.level = 0.9))[c(1, 3)]))
  test <- suppressWarnings(roc.test(first, second, method = "delong", paired = TRUE))
  list(first = one(first), second = one(second), z = number(test$statistic), p = number(test$p.value),
       interval = as.numeric(test$conf.int))
}
of_share <- function(case) {
  data <- data.frame(is = as.numeric(case$is), cluster = case$cluster)
  design <- svydesign(ids = ~cluster, data = data, weights = ~1)
  share <- svymean(~is, design, deff = "replace")
  interval <- function(level) as.numeric(attr(svyciprop(~is, design, method = "beta", level = level), "ci"))
  list(share = as.numeric(coef(share)), variance = as.numeric(vcov(share)), exact = interval(0.95),
       exact_90 = interval(0.9))
}
out <- list(
  pROC = as.character(packageVersion("pROC")), survey = as.character(packageVersion("survey")),
  auc = lapply(films$auc, of_auc), share = lapply(films$share, of_share))
write_json(out, args[2], digits = NA, auto_unbox = TRUE, null = "null")
