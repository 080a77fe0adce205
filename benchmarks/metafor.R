# Rscript metafor.R FOLDER: times the expressions of FOLDER/cases.R (made by run.py) by processor time, one thread.
suppressMessages(library(metafor))
folder <- commandArgs(TRUE)[1]
clock <- function() sum(proc.time()[1:2])
cat("version\tR\t", as.character(getRversion()), "\n", sep = "")
cat("version\tmetafor\t", as.character(packageVersion("metafor")), "\n", sep = "")
cat("version\tBLAS\t", basename(extSoftVersion()["BLAS"]), "\n", sep = "")
time_case <- function(id, before, expression) {
  d <- read.csv(file.path(folder, paste0(id, ".csv")))
  here <- list2env(list(d = d), parent = globalenv())
  eval(parse(text = before), here)
  code <- parse(text = expression)
  start <- clock()
  ok <- tryCatch({ eval(code, here); TRUE }, error = function(e) { cat("error\t", id, "\t", conditionMessage(e), "\n", sep = ""); FALSE })
  if (!ok) return(invisible())
  first <- clock() - start
  times <- first
  if (first < 4) {
    inner <- max(1, floor(0.05 / max(first, 1e-3)))
    runs <- min(25, max(3, floor(2 / (first * inner + 1e-3))))
    times <- sapply(seq_len(runs), function(i) { start <- clock(); for (j in seq_len(inner)) eval(code, here); (clock() - start) / inner })
  }
  cat("time\t", id, "\t", format(median(times), digits = 8), "\n", sep = "")
}
source(file.path(folder, "cases.R"))
